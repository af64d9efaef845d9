import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

const BY_STOP_REASON: ReadonlyMap<string, FinishReason> = new Map([
  ["end_turn", FinishReason.STOP],
  ["stop_sequence", FinishReason.STOP],
  ["pause_turn", FinishReason.STOP],
  ["max_tokens", FinishReason.LENGTH],
  ["model_context_window_exceeded", FinishReason.LENGTH],
  ["tool_use", FinishReason.TOOL_CALLS],
  ["refusal", FinishReason.CONTENT_FILTER],
]);

/** Maps Anthropic's `stop_reason`; a word that is not known counts as STOP, none at all as not finished. */
export function mapStopReason(stopReason: string): FinishReason {
  return stopReason === "" ? FinishReason.UNSPECIFIED : (BY_STOP_REASON.get(stopReason) ?? FinishReason.STOP);
}

/** Why an answer stopped, as the intermediate form says it. */
export interface Finish {
  readonly finishReason: FinishReason;
  readonly nativeFinishReason: string;
  readonly stopSequence: string;
}

/** Maps a finish to Anthropic's `stop_reason`, keeping the provider's own word where it is one of Anthropic's. */
export function toStopReason(finish: Finish): string | null {
  if (BY_STOP_REASON.get(finish.nativeFinishReason) === finish.finishReason) {
    return finish.nativeFinishReason;
  }
  switch (finish.finishReason) {
    case FinishReason.LENGTH:
      return "max_tokens";
    case FinishReason.TOOL_CALLS:
      return "tool_use";
    case FinishReason.CONTENT_FILTER:
      return "refusal";
    case FinishReason.UNSPECIFIED:
      return null;
    default:
      // A failed generation has no word of its own, and strict clients reject words that they do not know.
      return finish.stopSequence === "" ? "end_turn" : "stop_sequence";
  }
}
