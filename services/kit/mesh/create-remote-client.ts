import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
} from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { RemotePeer } from "./create-remote-peer.ts";
import { type InterceptedCall, interceptStream, interceptUnary } from "./link/intercept-call.ts";
import { maxMessageBytes } from "./link/link-protocol.ts";
import type { RemoteCallOptions } from "./link/remote-call.ts";
import { RemoteMethod } from "./link/remote-method.ts";
import { RemoteStream } from "./link/remote-stream.ts";
import { callUnary } from "./link/remote-unary.ts";
import { requireCarried } from "./link/require-carried.ts";
import { type AnyMessage, messageOf } from "./message-of.ts";
import { OpeningStream } from "./opening-stream.ts";
import { BackwardWriter } from "./wire/backward-writer.ts";

/** How long a unary call to another process may take when its caller does not say: a peer that hangs is not waited for. */
const defaultTimeoutMs = 2_000;

/** Makes a client of a service of another process, whose calls share the peer's link. */
export function createRemoteClient<S extends DescService>(service: S, peer: RemotePeer): Client<S> {
  const client: Record<string, unknown> = {};
  const codecs = { maxBytes: maxMessageBytes, writer: new BackwardWriter() };
  for (const method of service.methods) {
    requireCarried(method);
    const remote = new RemoteMethod(service, method, codecs);
    client[method.localName] =
      method.methodKind === "unary"
        ? (request: unknown, options?: CallOptions) => unaryCall(peer, remote, request, options)
        : (request: unknown, options?: CallOptions) => ({
            [Symbol.asyncIterator]: () => streamCall(peer, remote, request, options),
          });
  }
  // Each method was added above with the shape that Client<S> asks for.
  return client as Client<S>;
}

const unaryDefaults: RemoteCallOptions = { timeoutMs: defaultTimeoutMs };
const streamDefaults: RemoteCallOptions = {};

function unaryCall(
  peer: RemotePeer,
  method: RemoteMethod,
  request: unknown,
  options: CallOptions | undefined,
): Promise<AnyMessage> {
  const own = options === undefined ? unaryDefaults : { ...unaryDefaults, ...ownOptions(options) };
  const answer =
    peer.interceptors.length === 0
      ? callUnary(peer.link, method, request, own)
      : interceptedUnary(peer, method, request, own, options?.contextValues);
  return answer.catch((error: unknown) => {
    throw failureOf(error, options?.signal);
  });
}

async function interceptedUnary(
  peer: RemotePeer,
  method: RemoteMethod,
  request: unknown,
  options: RemoteCallOptions,
  contextValues: ContextValues | undefined,
): Promise<AnyMessage> {
  const call = interceptedCall(peer, method, options, contextValues);
  const answer = await interceptUnary(peer.interceptors, call, messageOf(method.method.input, request), (message) =>
    callUnary(peer.link, method, message, observed(call, options)),
  );
  // What an interceptor gives for a message of the output type is one.
  return answer as AnyMessage;
}

function streamCall(
  peer: RemotePeer,
  method: RemoteMethod,
  request: unknown,
  options: CallOptions | undefined,
): AsyncIterator<AnyMessage> {
  const own = options === undefined ? streamDefaults : ownOptions(options);
  const deps = { link: peer.link, mapError: failureOf };
  if (peer.interceptors.length === 0) {
    return new RemoteStream(deps, method, request, own);
  }
  const call = interceptedCall(peer, method, own, options?.contextValues);
  return new OpeningStream(
    interceptStream(peer.interceptors, call, messageOf(method.method.input, request), (message) => ({
      [Symbol.asyncIterator]: () => new RemoteStream(deps, method, message, observed(call, own)),
    })),
  );
}

function ownOptions(options: CallOptions): RemoteCallOptions {
  return {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs > 0 ? options.timeoutMs : undefined }),
    ...(options.headers === undefined ? {} : { headers: new Headers(options.headers) }),
    ...(options.onHeader === undefined ? {} : { onHeader: options.onHeader }),
    ...(options.onTrailer === undefined ? {} : { onTrailer: options.onTrailer }),
  };
}

function interceptedCall(
  peer: RemotePeer,
  { service, method }: RemoteMethod,
  options: RemoteCallOptions,
  contextValues: ContextValues | undefined,
): InterceptedCall {
  return {
    service,
    method,
    url: `${peer.baseUrl}/${service.typeName}/${method.name}`,
    header: new Headers(options.headers),
    signal: options.signal ?? new AbortController().signal,
    contextValues: contextValues ?? createContextValues(),
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
  };
}

/** The options of a call whose interceptors see the fields of its answer. */
function observed(call: InterceptedCall, options: RemoteCallOptions): RemoteCallOptions {
  return {
    ...options,
    headers: call.header,
    onHeader(header) {
      copyFields(header, call.responseHeader);
      options.onHeader?.(header);
    },
    onTrailer(trailer) {
      copyFields(trailer, call.responseTrailer);
      options.onTrailer?.(trailer);
    },
  };
}

function copyFields(from: Headers, to: Headers): void {
  for (const [name, value] of from) {
    to.append(name, value);
  }
}

/**
 * What a call failed with. A peer that died in the middle of a call is one that cannot be reached, and so is one that
 * answers that it is not available.
 */
function failureOf(error: unknown, signal: AbortSignal | undefined): unknown {
  const failure = ConnectError.from(error);
  const isOfPeer = failure.findDetails(ErrorDetailSchema).length > 0;
  if (isOfPeer || signal?.aborted === true || !brokenConnection.has(failure.code)) {
    return error;
  }
  return gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "A service of the gateway cannot be reached.", {
    retryDelayMs: 1_000,
    cause: error,
  });
}

const brokenConnection: ReadonlySet<Code> = new Set([Code.Canceled, Code.Aborted, Code.Unavailable]);
