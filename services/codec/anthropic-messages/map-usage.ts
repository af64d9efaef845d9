import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonObject, toJsonNumber, tokenCount } from "../json/json-fields.ts";

/**
 * Lays a later usage object over an earlier one. Anthropic's counts are cumulative, so a later value replaces the
 * earlier one and is never added; a field that the later object lacks keeps its earlier value.
 */
export function mergeUsage(earlier: JsonObject | undefined, later: Json | undefined): JsonObject | undefined {
  if (!isJsonObject(later)) {
    return earlier;
  }
  const merged: Record<string, Json | undefined> = { ...earlier };
  for (const [key, value] of Object.entries(later)) {
    if (value !== null && value !== undefined) {
      merged[key] = value;
    }
  }
  return merged;
}

/** Reads Anthropic's usage, whose `input_tokens` leaves cached tokens out already. */
export function decodeUsage(usage: Json | undefined): Usage | undefined {
  if (!isJsonObject(usage)) {
    return undefined;
  }
  const creation = usage["cache_creation"];
  const details = usage["output_tokens_details"];
  const oneHour = isJsonObject(creation) ? tokenCount(creation["ephemeral_1h_input_tokens"]) : 0n;
  const fiveMinutes = isJsonObject(creation) ? tokenCount(creation["ephemeral_5m_input_tokens"]) : 0n;
  const written = tokenCount(usage["cache_creation_input_tokens"]);
  const output = tokenCount(usage["output_tokens"]);
  const thinking = isJsonObject(details) ? tokenCount(details["thinking_tokens"]) : 0n;
  // Some answers carry only the split, some streams only the sum: the larger is the whole.
  const cacheWriteTokens = written > oneHour + fiveMinutes ? written : oneHour + fiveMinutes;
  return create(UsageSchema, {
    uncachedInputTokens: tokenCount(usage["input_tokens"]),
    cacheReadTokens: tokenCount(usage["cache_read_input_tokens"]),
    cacheWriteTokens,
    cacheWrite1hTokens: oneHour,
    outputTokens: output,
    reasoningTokens: thinking < output ? thinking : output,
  });
}

/** Writes usage as Anthropic does; zeros when there is none, because clients add the fields up unasked. */
export function encodeUsage(usage: Usage | undefined): JsonObject {
  const written = usage?.cacheWriteTokens ?? 0n;
  const oneHour = usage?.cacheWrite1hTokens ?? 0n;
  const reasoning = usage?.reasoningTokens ?? 0n;
  return {
    input_tokens: toJsonNumber(usage?.uncachedInputTokens ?? 0n),
    cache_creation_input_tokens: toJsonNumber(written),
    cache_read_input_tokens: toJsonNumber(usage?.cacheReadTokens ?? 0n),
    cache_creation: {
      ephemeral_5m_input_tokens: toJsonNumber(written > oneHour ? written - oneHour : 0n),
      ephemeral_1h_input_tokens: toJsonNumber(oneHour),
    },
    output_tokens: toJsonNumber(usage?.outputTokens ?? 0n),
    ...(reasoning > 0n ? { output_tokens_details: { thinking_tokens: toJsonNumber(reasoning) } } : {}),
  };
}
