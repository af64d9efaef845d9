import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

const BY_NATIVE: ReadonlyMap<string, FinishReason> = new Map([
  ["STOP", FinishReason.STOP],
  ["MAX_TOKENS", FinishReason.LENGTH],
  ["SAFETY", FinishReason.CONTENT_FILTER],
  ["RECITATION", FinishReason.CONTENT_FILTER],
  ["BLOCKLIST", FinishReason.CONTENT_FILTER],
  ["PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER],
  ["SPII", FinishReason.CONTENT_FILTER],
  ["MODEL_ARMOR", FinishReason.CONTENT_FILTER],
  ["IMAGE_SAFETY", FinishReason.CONTENT_FILTER],
  ["IMAGE_PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER],
  ["IMAGE_RECITATION", FinishReason.CONTENT_FILTER],
  ["MALFORMED_FUNCTION_CALL", FinishReason.ERROR],
  ["UNEXPECTED_TOOL_CALL", FinishReason.ERROR],
  ["TOO_MANY_TOOL_CALLS", FinishReason.ERROR],
  ["MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR],
  ["MALFORMED_RESPONSE", FinishReason.ERROR],
  ["NO_IMAGE", FinishReason.ERROR],
  ["IMAGE_OTHER", FinishReason.ERROR],
  ["LANGUAGE", FinishReason.ERROR],
  ["OTHER", FinishReason.ERROR],
]);

/**
 * Maps Gemini's `finishReason`. Gemini says STOP also when it calls tools, so `hasCall` tells the two apart. A word that
 * is not known counts as STOP, none at all as not finished.
 */
export function mapFinishReason(native: string, hasCall: boolean): FinishReason {
  if (native === "" || native === "FINISH_REASON_UNSPECIFIED") {
    return FinishReason.UNSPECIFIED;
  }
  const reason = BY_NATIVE.get(native) ?? FinishReason.STOP;
  return reason === FinishReason.STOP && hasCall ? FinishReason.TOOL_CALLS : reason;
}

/** Maps a finish to Gemini's word, keeping the provider's own where it is one of Gemini's; undefined when unfinished. */
export function toFinishReason(finishReason: FinishReason, native: string): string | undefined {
  if (BY_NATIVE.get(native) === finishReason) {
    return native;
  }
  switch (finishReason) {
    case FinishReason.UNSPECIFIED:
      return undefined;
    case FinishReason.LENGTH:
      return "MAX_TOKENS";
    case FinishReason.CONTENT_FILTER:
      return "SAFETY";
    case FinishReason.ERROR:
      return "OTHER";
    default:
      return "STOP";
  }
}
