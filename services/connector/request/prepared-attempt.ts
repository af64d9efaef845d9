import type { AnswerReader } from "../answer/answer-reader.ts";
import type { ProviderKind } from "../providers/provider.ts";
import type { UpstreamRequest } from "../upstream/upstream.ts";

/** An attempt that is ready to be sent. */
export interface PreparedAttempt {
  readonly request: UpstreamRequest;
  /** The kind that answers: not always the account's first. */
  readonly kind: ProviderKind;
  /** What the provider's dialect cannot express. */
  readonly dropped: readonly string[];
  /** Makes what reads the answer; undefined when an answer of this content type cannot be one of a model. */
  createReader(contentType: string): AnswerReader | undefined;
}

/** An attempt that asks no provider: the connector estimates the answer. */
export interface EstimatedAttempt {
  /** The content type of the answer. */
  readonly contentType: string;
  /** Makes the answer. Stops early when the signal aborts, with an answer that nobody reads. */
  estimate(signal: AbortSignal): Promise<Uint8Array>;
}
