import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ErrorDetailSchema, ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

/** The largest message that one service takes from another: a request body of 32 MiB with what surrounds it. */
export const maxMessageBytes = 40 * 1024 * 1024;

/** How long a unary call to another process may take when its caller does not say: a peer that hangs is not waited for. */
const defaultTimeoutMs = 2_000;

/** A connection to one other process. */
export interface RemotePeer {
  readonly transport: Transport;
  /** Closes the HTTP/2 session, which would keep this process alive otherwise. */
  close(): void;
}

/** Opens a peer lazily: the connection is made by the first call, and again by the first call after it broke. */
export function createRemotePeer(baseUrl: string, interceptors: readonly Interceptor[]): RemotePeer {
  const sessionManager = new Http2SessionManager(baseUrl, {
    // A peer that hangs is noticed by its missing ping within this time, in the middle of calls too.
    pingIntervalMs: 5_000,
    pingTimeoutMs: 3_000,
    idleConnectionTimeoutMs: 15 * 60_000,
  });
  return {
    transport: createConnectTransport({
      httpVersion: "2",
      baseUrl,
      sessionManager,
      useBinaryFormat: true,
      acceptCompression: [],
      readMaxBytes: maxMessageBytes,
      writeMaxBytes: maxMessageBytes,
      interceptors: [...interceptors],
    }),
    close: () => sessionManager.abort(),
  };
}

/**
 * Makes a client over Connect in which leaving a stream cancels the call: in Connect's own, a caller that leaves its
 * `for await` leaves the handler running to its end.
 */
export function createRemoteClient<S extends DescService>(service: S, transport: Transport): Client<S> {
  const client: Record<string, unknown> = { ...createClient(service, transport) };
  for (const method of service.methods) {
    if (method.methodKind === "unary") {
      // createClient made this method as a unary call, because the descriptor says that it is one.
      const call = client[method.localName] as UnaryCall;
      client[method.localName] = (request: unknown, options?: CallOptions) =>
        call(request, { timeoutMs: defaultTimeoutMs, ...options }).catch((error: unknown) => {
          throw failureOf(error, options?.signal);
        });
    } else if (method.methodKind === "server_streaming") {
      // createClient made this method as a server stream, because the descriptor says that it is one.
      const call = client[method.localName] as StreamCall;
      client[method.localName] = (request: unknown, options?: CallOptions) => leavableStream(call, request, options);
    }
  }
  // The same methods as createClient made, with the same shapes.
  return client as Client<S>;
}

type UnaryCall = (request: unknown, options?: CallOptions) => Promise<unknown>;
type StreamCall = (request: unknown, options?: CallOptions) => AsyncIterable<unknown>;

function leavableStream(call: StreamCall, request: unknown, options: CallOptions | undefined): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const controller = new AbortController();
      const outer = options?.signal;
      const onOuterAbort = (): void => controller.abort(outer?.reason);
      if (outer?.aborted === true) {
        onOuterAbort();
      }
      outer?.addEventListener("abort", onOuterAbort, { once: true });
      const iterator = call(request, { ...options, signal: controller.signal })[Symbol.asyncIterator]();
      let left = false;
      return {
        async next(): Promise<IteratorResult<unknown>> {
          if (left) {
            return { done: true, value: undefined };
          }
          try {
            const result = await iterator.next();
            if (result.done === true) {
              outer?.removeEventListener("abort", onOuterAbort);
            }
            return left ? { done: true, value: undefined } : result;
          } catch (error) {
            outer?.removeEventListener("abort", onOuterAbort);
            if (left) {
              return { done: true, value: undefined };
            }
            throw failureOf(error, outer);
          }
        },
        return(): Promise<IteratorResult<unknown>> {
          left = true;
          outer?.removeEventListener("abort", onOuterAbort);
          controller.abort();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

/**
 * What a call failed with. A peer that died in the middle of a call looks like a caller who left, and one that cannot be
 * reached names its address: both are one and the same to the caller, who did not leave.
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
