import type { ChatEvent, ChatRequest, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EmbedRequest, EmbedResponse } from "#gen/penstock/chat/v1/embed_pb.ts";
import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** A JSON value as `JSON.parse` makes it. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
/** A JSON object as `JSON.parse` makes it. */
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/**
 * A body that does not follow its dialect. The caller's mistake when it was a request, the provider's when it was an
 * answer; `param` is the path of the offending value in the dialect's own spelling (`messages[1].content`), `code` the
 * word that OpenAI uses for the mistake (`missing_required_parameter`, `invalid_type`, `invalid_value`, …).
 */
export class CodecError extends Error {
  readonly param: string | undefined;
  readonly code: string;
  constructor(message: string, options: { readonly param?: string; readonly code: string; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "CodecError";
    this.param = options.param;
    this.code = options.code;
  }
}

/** A request in a provider's dialect. */
export interface EncodedRequest {
  readonly body: JsonObject;
  /** What the dialect cannot express and was left out, in OpenAI's spelling, sorted, without repetition. */
  readonly dropped: readonly string[];
}

/** What an encoder of requests has to know beside the request. */
export interface EncodeRequestOptions {
  /** The provider's own name of the model. */
  readonly model: string;
  readonly stream: boolean;
  /** Used where the dialect requires an output limit and the request has none. */
  readonly defaultMaxOutputTokens: number;
}

/** What an encoder of answers has to know beside the answer. */
export interface EncodeResponseOptions {
  /** Used when the answer has no id of its own, such as `chatcmpl-…`; unique. */
  readonly fallbackId: string;
  /** Unix seconds, used when the answer has no time of its own. */
  readonly fallbackCreated: number;
  /** OpenAI's `stream_options.include_usage`; dialects that always report usage ignore it. */
  readonly includeUsage: boolean;
}

/** Turns the bytes of a provider's stream into events, however the bytes are cut. Holds the state of one stream. */
export interface StreamDecoder {
  /**
   * Takes the next bytes and returns what they complete. Throws CodecError for bytes that are not of the dialect, and
   * ProviderStreamError for an error that the provider sent inside the stream.
   */
  push(bytes: Uint8Array): ChatEvent[];
  /**
   * Says that the bytes have ended, and returns what that completes: the end event where the dialect has no final
   * marker and a finish was seen. No end event here or before means that the stream was cut.
   */
  end(): ChatEvent[];
}

/** Turns events into the bytes of a stream. Holds the state of one stream. */
export interface StreamEncoder {
  /** Encodes events; the end event also writes the dialect's final marker. */
  encode(events: readonly ChatEvent[]): Uint8Array;
}

/** An error that a provider sent inside a stream whose status was 200. */
export class ProviderStreamError extends Error {
  /** The error as the provider sent it, for `decodeError`. */
  readonly body: Json;
  constructor(body: Json) {
    super("the provider reported an error inside the stream");
    this.name = "ProviderStreamError";
    this.body = body;
  }
}

/** What a provider said went wrong, in one form for all dialects. Empty strings where it said nothing. */
export interface DecodedError {
  readonly message: string;
  readonly type: string;
  readonly code: string;
  readonly param: string;
  /** From the body, where the dialect puts it there (Gemini's RetryInfo); undefined otherwise. */
  readonly retryDelayMs: number | undefined;
}

/**
 * Watches a provider's stream that is forwarded in the caller's own dialect: cuts it at event borders, reads usage and
 * finish on the way, and touches nothing else. Costs little for each chunk: it parses only events that carry usage, a
 * finish or an error. Holds the state of one stream.
 */
export interface StreamObserver {
  /**
   * Takes the next bytes and returns those to forward: all whole events, byte for byte, but for the usage event that
   * the gateway asked for and the caller did not (`stripUsage`). Throws ProviderStreamError and CodecError as a decoder.
   */
  push(bytes: Uint8Array): Uint8Array;
  /** True once an event with content (text, reasoning, a tool call, a refusal, a finish) has been seen. */
  readonly contentSeen: boolean;
  /** True once the dialect's final marker, or for dialects without one a finish, has been seen. */
  readonly complete: boolean;
  /** The usage reported so far; undefined when none was. Final once the stream has ended. */
  readonly usage: Usage | undefined;
  readonly finishReason: FinishReason;
  /** Bytes held back because their event is not whole. A stream that ends with more than 0 was cut. */
  readonly pendingBytes: number;
  /** A count of output tokens for a stream that is left before its usage comes; an estimate, never 0 after content. */
  readonly countedOutputTokens: number;
}

/** What a complete answer in the caller's own dialect holds, read without changing it. */
export interface ResponseFacts {
  readonly usage: Usage | undefined;
  readonly finishReason: FinishReason;
}

/** One dialect, in both directions. Pure: no I/O, no clock, no randomness. */
export interface ChatCodec {
  readonly dialect: Dialect;
  /**
   * Reads a caller's request. Throws CodecError. What the dialect alone has, and the answer does not depend on, is left
   * out and added to `dropped`, as in `EncodedRequest.dropped`.
   */
  decodeRequest(body: JsonObject, dropped?: Set<string>): ChatRequest;
  /** Writes a request for a provider. Throws CodecError (`unsupported_feature`) where dropping would change the meaning. */
  encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest;
  /** Reads a provider's complete answer. Throws CodecError, or ProviderStreamError for an error with status 200. */
  decodeResponse(body: JsonObject): ChatResponse;
  /** Writes a complete answer for a caller. */
  encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject;
  createStreamDecoder(): StreamDecoder;
  createStreamEncoder(options: EncodeResponseOptions): StreamEncoder;
  createStreamObserver(options: { readonly stripUsage: boolean }): StreamObserver;
  /** Reads usage and finish of a complete answer that is forwarded as it is. Throws as `decodeResponse`. */
  readResponse(body: JsonObject): ResponseFacts;
  /** Reads an error body of any shape: JSON, an array, a string, HTML, nothing. Never throws. */
  decodeError(body: Json | undefined): DecodedError;
}

/** Embeddings in one dialect, in both directions. Pure. */
export interface EmbedCodec {
  readonly dialect: Dialect;
  decodeRequest(body: JsonObject): EmbedRequest;
  encodeRequest(request: EmbedRequest, options: { readonly model: string }): EncodedRequest;
  decodeResponse(body: JsonObject): EmbedResponse;
  encodeResponse(response: EmbedResponse): JsonObject;
  /** Reads the usage of an answer that is forwarded as it is. */
  readUsage(body: JsonObject): Usage | undefined;
}
