import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

/** What an answer amounts to once it is over. */
export interface AnswerEnd {
  readonly usage: Usage | undefined;
  readonly finishReason: FinishReason;
  /** False when the answer lacks its final marker though it looks whole: relayed, not cached. */
  readonly complete: boolean;
}

/**
 * Turns the bytes of a provider's good answer (status 2xx) into the bytes for the caller. One for each way: forwarded
 * or translated, streamed or whole. Throws CodecError and ProviderStreamError for what the provider did wrong.
 */
export interface AnswerReader {
  /** The content type of what the caller gets. */
  readonly contentType: string;
  /** Takes the next bytes of the provider and returns those for the caller; empty when there are none yet. */
  push(chunk: Uint8Array): Uint8Array;
  /** True once there is content, so that the answer may begin. */
  readonly contentSeen: boolean;
  /**
   * True once nothing that matters can follow: the end of the connection need not be waited for. The bytes of the final
   * marker are then still held back, and come from `finish`.
   */
  readonly over: boolean;
  /** Says that the provider's bytes have ended. Returns the last bytes, or undefined when the answer was cut. */
  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } | undefined;
  /** What was used so far, for an answer that does not come to its end; undefined when nothing was. */
  readonly usageSoFar: Usage | undefined;
}

/** No bytes. */
export const noBytes = new Uint8Array(0);
