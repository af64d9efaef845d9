import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json } from "../codec.ts";

const REASONS: ReadonlyMap<string, FinishReason> = new Map([
  ["stop", FinishReason.STOP],
  ["length", FinishReason.LENGTH],
  // Mistral's word for a full context window.
  ["model_length", FinishReason.LENGTH],
  ["max_tokens", FinishReason.LENGTH],
  ["tool_calls", FinishReason.TOOL_CALLS],
  ["tool_use", FinishReason.TOOL_CALLS],
  ["function_call", FinishReason.TOOL_CALLS],
  ["content_filter", FinishReason.CONTENT_FILTER],
  ["error", FinishReason.ERROR],
  // vLLM and SGLang say so when a request was given up, DeepSeek when it ran out of machines.
  ["abort", FinishReason.ERROR],
  ["insufficient_system_resource", FinishReason.ERROR],
]);

/** Reads a native finish reason. A word that is not known means that the model stopped; none means not complete. */
export function mapFinishReason(native: Json | undefined): FinishReason {
  if (typeof native !== "string" || native === "") {
    return FinishReason.UNSPECIFIED;
  }
  return REASONS.get(native) ?? FinishReason.STOP;
}

/** Writes a finish reason; null says that the answer is not complete. */
export function writeFinishReason(reason: FinishReason): string | null {
  switch (reason) {
    case FinishReason.STOP:
      return "stop";
    case FinishReason.LENGTH:
      return "length";
    case FinishReason.TOOL_CALLS:
      return "tool_calls";
    case FinishReason.CONTENT_FILTER:
      return "content_filter";
    case FinishReason.ERROR:
      return "error";
    default:
      return null;
  }
}
