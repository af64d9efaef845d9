import { Buffer } from "node:buffer";
import type { ConnectError } from "@connectrpc/connect";
import type { Json, JsonObject } from "#codec/codec.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";
import { asConnectError } from "#kit/mesh/as-connect-error.ts";
import type { EndpointRequest } from "../endpoints/endpoint.ts";
import { HttpReply } from "../http/http-reply.ts";
import { type HeaderReader, readDialectHeaders, readTags, readTimeoutMs } from "../http/read-request-headers.ts";
import { admit } from "../pipeline/admit.ts";
import type { GatewayCall, ReplyHead, ReplySink } from "../pipeline/gateway-call.ts";
import { keeperEntry } from "../pipeline/keeper-entry.ts";
import { RequestRun, type RequestRunDeps } from "../pipeline/request-run.ts";

/** One operation on something that a provider keeps. */
export interface KeeperCall {
  readonly operation: Operation;
  readonly dialect: Dialect;
  /** Empty: the first that has the operation. */
  readonly provider: string;
  /** The provider's id of the thing; empty where one is made. */
  readonly providerId: string;
  /** The id by which the caller knows it. */
  readonly id: string;
  /** Without a question mark. */
  readonly query?: string;
  readonly body?: Uint8Array;
  /** Empty for JSON. */
  readonly contentType?: string;
  readonly stream?: boolean;
}

/** What a provider said of something that it keeps. */
export interface KeeperAnswer {
  readonly head: ReplyHead;
  readonly body: JsonObject;
}

/** Asks providers for what they keep: through the same steps as a request to a model, a usage event included. */
export interface Keeper {
  /** Rejects with NOT_FOUND, in the caller's words, where the provider has no such thing. */
  ask(request: EndpointRequest, call: KeeperCall): Promise<KeeperAnswer>;
  /** Counts a request that the gateway answers by itself. Rejects with RATE_LIMITED when its key has had its share. */
  count(request: EndpointRequest, dialect: Dialect): Promise<void>;
  /** Passes the answer on as it comes. */
  pass(request: EndpointRequest, call: KeeperCall): Promise<void>;
}

const noBytes = Buffer.alloc(0);

/** Makes the keeper's asker. */
export function createKeeper(deps: RequestRunDeps): Keeper {
  function callOf(request: EndpointRequest, call: KeeperCall, traceparent: string | undefined): GatewayCall {
    const header = headerReader(request);
    return {
      requestId: request.requestId,
      key: request.key,
      operation: call.operation,
      dialect: call.dialect,
      body: call.body ?? noBytes,
      contentType: call.contentType ?? "",
      inspection: {
        model: "",
        stream: call.stream === true,
        inputTokenBound: 0n,
        inputTextBytes: 0,
        outputTokenLimit: 0n,
        candidates: 1n,
      },
      provider: call.provider,
      keptObject: { $typeName: "penstock.type.v1.KeptObject", id: call.providerId, query: call.query ?? "" },
      tags: readTags(header, request.key.tags),
      dialectHeaders: readDialectHeaders(header, call.dialect),
      cachePolicy: "no-store",
      timeoutMs: readTimeoutMs(header),
      arrivedAt: request.arrivedAt,
      traceparent,
    };
  }

  async function run(request: EndpointRequest, call: KeeperCall, sink: ReplySink): Promise<void> {
    const { res } = request;
    await deps.tracer.run(`keep ${call.provider}`, headerReader(request), (traceparent) => {
      const running = new RequestRun(callOf(request, call, traceparent), sink, deps);
      const leave = (): void => {
        if (!res.writableFinished) {
          running.cancel();
          // Nobody waits for an answer any more; whoever awaits it must not wait for ever.
          sink.fail(gatewayError(ErrorReason.CLIENT_CLOSED, "The caller left."));
        }
      };
      if (res.destroyed) {
        leave();
        return Promise.resolve();
      }
      res.on("close", leave);
      return running.run();
    });
  }

  return {
    ask: (request, call) =>
      new Promise((resolve, reject) => {
        const fail = (error: unknown): void => reject(asCallersError(error, call));
        run(request, call, new WholeSink(resolve, fail)).then(undefined, fail);
      }),
    async count(request, dialect) {
      // What is listed here has no operation of its own: it asks nobody.
      const call = { operation: Operation.GET_FILE, dialect, provider: "", providerId: "", id: "" };
      const admission = await admit(callOf(request, call, undefined), keeperEntry, deps);
      admission.release({ costNanosUsd: 0n, providerCostsNanosUsd: {}, tokens: 0n });
    },
    pass(request, call) {
      const reply = new HttpReply(request.res, request.requestId, call.dialect);
      return run(request, call, {
        head: (head) => reply.head(head),
        body: (bytes) => reply.body(bytes),
        onDrain: (resume) => reply.onDrain(resume),
        end: (bytes) => reply.end(bytes),
        fail(error) {
          if (!request.res.destroyed) {
            reply.fail(asConnectError(asCallersError(error, call)));
          }
        },
      });
    },
  };
}

/** Reads the header fields of a request. */
export function headerReader({ req }: EndpointRequest): HeaderReader {
  return (name) => {
    const value = req.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
}

/** Takes an answer whole, since ids in it are to be changed before the caller sees them. */
class WholeSink implements ReplySink {
  readonly #resolve: (answer: KeeperAnswer) => void;
  readonly #reject: (error: unknown) => void;
  #head: ReplyHead | undefined;
  readonly #pieces: Uint8Array[] = [];

  constructor(resolve: (answer: KeeperAnswer) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  head(head: ReplyHead): void {
    this.#head = head;
  }

  body(bytes: Uint8Array): boolean {
    this.#pieces.push(bytes);
    return true;
  }

  onDrain(resume: () => void): void {
    resume();
  }

  end(bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) {
      this.#pieces.push(bytes);
    }
    const head = this.#head;
    const body = parseObject(Buffer.concat(this.#pieces));
    if (head === undefined || body === undefined) {
      this.#reject(gatewayError(ErrorReason.UPSTREAM_MALFORMED, "The provider's answer could not be understood."));
      return;
    }
    this.#resolve({ head, body });
  }

  fail(error: ConnectError): void {
    this.#reject(error);
  }
}

function parseObject(bytes: Buffer): JsonObject | undefined {
  try {
    // Whatever JSON.parse makes is a Json.
    const value = JSON.parse(bytes.toString("utf8")) as Json;
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/** The provider's words speak of its own ids, and of what it lacks as if it were a model. */
function asCallersError(error: unknown, call: KeeperCall): unknown {
  const detail = errorDetailOf(error);
  const status = detail.providerError?.httpStatus;
  if (detail.reason === ErrorReason.MODEL_NOT_FOUND || status === 404) {
    const what = call.id === "" ? "what the request refers to" : call.id.slice(0, 100);
    return gatewayError(ErrorReason.NOT_FOUND, `The provider has no such object: ${what}`, { cause: error });
  }
  if (detail.reason === ErrorReason.UNSUPPORTED_FEATURE) {
    const keeps = call.dialect === Dialect.OPENAI_RESPONSES ? "responses" : "files and batches";
    const which = call.provider === "" ? "No configured provider" : `The provider ${JSON.stringify(call.provider)}`;
    return gatewayError(
      ErrorReason.UNSUPPORTED_FEATURE,
      `${which} ${call.provider === "" ? "keeps" : "does not keep"} ${keeps}.`,
      { metadata: { code: "unsupported_feature" }, cause: error },
    );
  }
  if (call.providerId === "" || call.providerId === call.id || !(error instanceof Error)) {
    return error;
  }
  const message = detail.providerError === undefined ? undefined : rawMessageOf(error);
  return message?.includes(call.providerId) === true
    ? gatewayError(detail.reason, message.replaceAll(call.providerId, call.id), {
        metadata: detail.metadata,
        ...(detail.providerError === undefined ? {} : { providerError: detail.providerError }),
        cause: error,
      })
    : error;
}

function rawMessageOf(error: Error): string {
  return "rawMessage" in error && typeof error.rawMessage === "string" ? error.rawMessage : error.message;
}
