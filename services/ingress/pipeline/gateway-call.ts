import type { ConnectError } from "@connectrpc/connect";
import type { KeyRecord, RateLimitStatus } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { Dialect, KeptObject, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";

/** What the gateway reads of a body before it passes it on. */
export interface Inspection {
  readonly model: string;
  readonly stream: boolean;
  /** No tokenizer makes more input tokens of this request. */
  readonly inputTokenBound: bigint;
  /**
   * How many bytes of text the body amounts to, by which its input is estimated when nobody reports what was used.
   * Absent: all bytes of the body.
   */
  readonly inputTextBytes?: number;
  /** The output limit that the caller set for each candidate; undefined when it set none. */
  readonly outputTokenLimit: bigint | undefined;
  readonly candidates: bigint;
  /** Whether the answer is made after the request has ended, and asked for later. Absent: no. */
  readonly background?: boolean;
}

/** How a caller wants the cache to be used. */
export type CachePolicy = "use" | "no-store" | "no-cache" | "only-if-cached";

/** One request of a caller, read and authenticated. */
export interface GatewayCall {
  readonly requestId: string;
  readonly key: KeyRecord;
  readonly operation: Operation;
  readonly dialect: Dialect;
  /** As the caller sent it, decompressed. */
  readonly body: Uint8Array;
  /** The media type of the body with its parameters; empty for the usual one of the dialect. */
  readonly contentType: string;
  readonly inspection: Inspection;
  /** The only provider that may answer, since it keeps what the request refers to. Empty or absent: any. */
  readonly provider?: string;
  /** What an operation on something that a provider keeps is about. Absent for all other operations. */
  readonly keptObject?: KeptObject;
  readonly tags: Readonly<Record<string, string>>;
  /** Header fields of the dialect that change what the provider does, names in lower case. */
  readonly dialectHeaders: Record<string, string>;
  readonly cachePolicy: CachePolicy;
  /** How long the caller wants to wait at the most, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** Monotonic milliseconds at which the request arrived. */
  readonly arrivedAt: number;
  /** The W3C trace context of the request; undefined when requests are not traced. */
  readonly traceparent: string | undefined;
}

/** Whether an answer came from the cache. */
export type CacheState = "hit" | "miss" | "bypass";

/** What is known of an answer when it begins. */
export interface ReplyHead {
  readonly contentType: string;
  readonly provider: string;
  readonly model: string;
  readonly attempts: number;
  readonly cache: CacheState;
  readonly droppedParams: readonly string[];
  /** Whether the gateway estimated the answer itself. */
  readonly estimated: boolean;
  /** Undefined for a stream, whose cost is not known when it begins. */
  readonly costNanosUsd: bigint | undefined;
  /** Time spent in the gateway itself so far. */
  readonly overheadMs: number;
  readonly requests: RateLimitStatus | undefined;
  readonly tokens: RateLimitStatus | undefined;
}

/** Where an answer goes: an HTTP response, or a typed call. */
export interface ReplySink {
  /** Begins the answer. Called at most once, before any body. */
  head(head: ReplyHead): void;
  /** Sends a part of the body; false asks to wait until `onDrain` has called back. */
  body(bytes: Uint8Array): boolean;
  /** Calls back once when more can be sent, or when the caller has left. */
  onDrain(resume: () => void): void;
  /** Sends the last part and completes the answer. */
  end(bytes: Uint8Array | undefined): void;
  /** Ends with an error, before or after the answer began. Nothing is called after it. */
  fail(error: ConnectError): void;
}
