import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonObject, toJsonNumber, tokenCount } from "../json/json-fields.ts";

/**
 * Reads Cohere's usage; undefined when it counts nothing. Cohere counts twice: `tokens` is all that the model saw, its
 * own preamble included, and `billed_units` what is paid for. The second is what budgets and prices are about; it leaves
 * cached tokens out.
 */
export function decodeUsage(usage: Json | undefined): Usage | undefined {
  if (!isJsonObject(usage)) {
    return undefined;
  }
  const billed = readCounts(usage["billed_units"]);
  const seen = readCounts(usage["tokens"]);
  const counts = billed ?? seen;
  if (counts === undefined) {
    return undefined;
  }
  const cached = billed === undefined ? least(tokenCount(usage["cached_tokens"]), counts.input) : 0n;
  return create(UsageSchema, {
    uncachedInputTokens: counts.input - cached,
    cacheReadTokens: cached,
    outputTokens: counts.output,
    reasoningTokens: least(seen?.reasoning ?? 0n, counts.output),
  });
}

/** Writes usage as Cohere does: nothing is known of a preamble, so both counts are the same. */
export function encodeUsage(usage: Usage | undefined): JsonObject {
  if (usage === undefined) {
    return {};
  }
  const input = toJsonNumber(usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens);
  const output = toJsonNumber(usage.outputTokens);
  return {
    billed_units: { input_tokens: input, output_tokens: output },
    tokens: {
      input_tokens: input,
      output_tokens: output,
      ...(usage.reasoningTokens > 0n ? { reasoning_tokens: toJsonNumber(usage.reasoningTokens) } : {}),
    },
    cached_tokens: toJsonNumber(usage.cacheReadTokens),
  };
}

interface Counts {
  readonly input: bigint;
  readonly output: bigint;
  readonly reasoning: bigint;
}

function readCounts(value: Json | undefined): Counts | undefined {
  if (!isJsonObject(value) || (value["input_tokens"] === undefined && value["output_tokens"] === undefined)) {
    return undefined;
  }
  return {
    input: tokenCount(value["input_tokens"]),
    output: tokenCount(value["output_tokens"]),
    reasoning: tokenCount(value["reasoning_tokens"]),
  };
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
