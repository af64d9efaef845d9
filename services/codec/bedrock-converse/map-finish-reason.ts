import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

const BY_STOP_REASON: ReadonlyMap<string, FinishReason> = new Map([
  ["end_turn", FinishReason.STOP],
  ["stop_sequence", FinishReason.STOP],
  ["max_tokens", FinishReason.LENGTH],
  ["model_context_window_exceeded", FinishReason.LENGTH],
  ["tool_use", FinishReason.TOOL_CALLS],
  ["guardrail_intervened", FinishReason.CONTENT_FILTER],
  ["content_filtered", FinishReason.CONTENT_FILTER],
  ["refusal", FinishReason.CONTENT_FILTER],
  ["malformed_model_output", FinishReason.ERROR],
  ["malformed_tool_use", FinishReason.ERROR],
]);

/** Maps Converse's `stopReason`; a word that is not known counts as STOP, none at all as not finished. */
export function mapStopReason(stopReason: string): FinishReason {
  return stopReason === "" ? FinishReason.UNSPECIFIED : (BY_STOP_REASON.get(stopReason) ?? FinishReason.STOP);
}

/** Why an answer stopped, as the intermediate form says it. */
export interface Finish {
  readonly finishReason: FinishReason;
  readonly nativeFinishReason: string;
  readonly stopSequence: string;
}

/** Maps a finish to Converse's word, keeping the provider's own where it is one of Converse's. */
export function toStopReason(finish: Finish): string {
  if (BY_STOP_REASON.get(finish.nativeFinishReason) === finish.finishReason) {
    return finish.nativeFinishReason;
  }
  switch (finish.finishReason) {
    case FinishReason.LENGTH:
      return "max_tokens";
    case FinishReason.TOOL_CALLS:
      return "tool_use";
    case FinishReason.CONTENT_FILTER:
      return "content_filtered";
    case FinishReason.ERROR:
      return "malformed_model_output";
    default:
      return finish.stopSequence === "" ? "end_turn" : "stop_sequence";
  }
}
