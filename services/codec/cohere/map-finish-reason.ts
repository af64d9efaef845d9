import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

const BY_WORD: ReadonlyMap<string, FinishReason> = new Map([
  ["COMPLETE", FinishReason.STOP],
  ["STOP_SEQUENCE", FinishReason.STOP],
  ["MAX_TOKENS", FinishReason.LENGTH],
  ["TOOL_CALL", FinishReason.TOOL_CALLS],
  ["ERROR", FinishReason.ERROR],
  ["TIMEOUT", FinishReason.ERROR],
]);

/** Maps Cohere's `finish_reason`; a word that is not known counts as STOP, none at all as not finished. */
export function mapFinishReason(word: string): FinishReason {
  return word === "" ? FinishReason.UNSPECIFIED : (BY_WORD.get(word) ?? FinishReason.STOP);
}

/** Why an answer stopped, as the intermediate form says it. */
export interface Finish {
  readonly finishReason: FinishReason;
  readonly nativeFinishReason: string;
  readonly stopSequence: string;
}

/** Maps a finish to Cohere's word, keeping the provider's own where it is one of Cohere's. */
export function toCohereFinish(finish: Finish): string {
  if (BY_WORD.get(finish.nativeFinishReason) === finish.finishReason) {
    return finish.nativeFinishReason;
  }
  switch (finish.finishReason) {
    case FinishReason.LENGTH:
      return "MAX_TOKENS";
    case FinishReason.TOOL_CALLS:
      return "TOOL_CALL";
    case FinishReason.ERROR:
      return "ERROR";
    default:
      // Cohere has no word for what a filter withheld.
      return finish.stopSequence === "" ? "COMPLETE" : "STOP_SEQUENCE";
  }
}
