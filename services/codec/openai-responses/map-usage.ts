import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { asObject } from "../json/json-values.ts";

/**
 * Reads a native usage object into classes that do not overlap. Counts that are negative, not finite or not numbers
 * become 0, fractions are cut off, and parts never exceed their whole. Undefined when there is no usage in it, or when
 * input or output is counted with what is no count: 0 would make the request free.
 */
export function mapUsage(native: Json | undefined): Usage | undefined {
  const usage = asObject(native);
  if (usage === undefined || (usage["input_tokens"] === undefined && usage["output_tokens"] === undefined)) {
    return undefined;
  }
  if (isNoCount(usage["input_tokens"]) || isNoCount(usage["output_tokens"])) {
    return undefined;
  }
  const input = count(usage["input_tokens"]);
  const inputDetails = asObject(usage["input_tokens_details"]);
  const cached = Math.min(input, count(inputDetails?.["cached_tokens"]));
  const written = Math.min(input - cached, count(inputDetails?.["cache_write_tokens"]));
  const stated = count(usage["output_tokens"]);
  const reasoning = count(asObject(usage["output_tokens_details"])?.["reasoning_tokens"]);
  // Some servers count reasoning beside the output, which shows in the total.
  const isAdditive = reasoning > 0 && count(usage["total_tokens"]) === input + stated + reasoning;
  const output = isAdditive ? stated + reasoning : Math.max(stated, reasoning);
  return {
    $typeName: "penstock.type.v1.Usage",
    uncachedInputTokens: BigInt(input - cached - written),
    cacheReadTokens: BigInt(cached),
    cacheWriteTokens: BigInt(written),
    outputTokens: BigInt(output),
    reasoningTokens: BigInt(reasoning),
    cacheWrite1hTokens: 0n,
    audioInputTokens: 0n,
    audioOutputTokens: 0n,
    estimated: false,
  };
}

/** Writes usage as OpenAI does: input includes cache reads and writes, output includes reasoning; null when unknown. */
export function writeUsage(usage: Usage | undefined): JsonObject | null {
  if (usage === undefined) {
    return null;
  }
  const input = Number(usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens);
  const output = Number(usage.outputTokens);
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: Number(usage.cacheReadTokens),
      cache_write_tokens: Number(usage.cacheWriteTokens),
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: Number(usage.reasoningTokens) },
    total_tokens: input + output,
  };
}

function isNoCount(value: Json | undefined): boolean {
  return value !== undefined && value !== null && !(typeof value === "number" && value >= 0);
}

function count(value: Json | undefined): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    return 0;
  }
  return Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER);
}
