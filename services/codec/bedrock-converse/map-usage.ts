import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonObject, toJsonNumber, tokenCount } from "../json/json-fields.ts";
import { asArray } from "../json/json-values.ts";

/**
 * Reads Converse's usage; undefined when there is none. `inputTokens` leaves cached tokens out, but for some models it
 * has them in: the total tells.
 */
export function decodeUsage(usage: Json | undefined): Usage | undefined {
  if (!isJsonObject(usage)) {
    return undefined;
  }
  const input = tokenCount(usage["inputTokens"]);
  const output = tokenCount(usage["outputTokens"]);
  const total = tokenCount(usage["totalTokens"]);
  const read = cacheCount(usage, "cacheReadInputTokens");
  const written = cacheCount(usage, "cacheWriteInputTokens");
  const cached = read + written;
  const isWithin = cached > 0n && input >= cached && total === input + output;
  return create(UsageSchema, {
    uncachedInputTokens: isWithin ? input - cached : input,
    cacheReadTokens: read,
    cacheWriteTokens: written,
    cacheWrite1hTokens: least(writtenForAnHour(usage), written),
    outputTokens: output,
  });
}

/** Writes usage as Converse does. */
export function encodeUsage(usage: Usage | undefined): JsonObject {
  const { uncachedInputTokens = 0n, cacheReadTokens = 0n, cacheWriteTokens = 0n, outputTokens = 0n } = usage ?? {};
  const forAnHour = usage?.cacheWrite1hTokens ?? 0n;
  return {
    inputTokens: toJsonNumber(uncachedInputTokens),
    outputTokens: toJsonNumber(outputTokens),
    totalTokens: toJsonNumber(uncachedInputTokens + cacheReadTokens + cacheWriteTokens + outputTokens),
    ...(cacheReadTokens > 0n ? { cacheReadInputTokens: toJsonNumber(cacheReadTokens) } : {}),
    ...(cacheWriteTokens > 0n ? { cacheWriteInputTokens: toJsonNumber(cacheWriteTokens) } : {}),
    ...(forAnHour > 0n ? { cacheDetails: [{ ttl: "1h", inputTokens: toJsonNumber(forAnHour) }] } : {}),
  };
}

/** Some answers spell the counts of the cache with `Count` at the end only. */
function cacheCount(usage: JsonObject, name: string): bigint {
  return tokenCount(usage[name] ?? usage[name.replace(/Tokens$/, "TokenCount")]);
}

function writtenForAnHour(usage: JsonObject): bigint {
  let sum = 0n;
  for (const detail of asArray(usage["cacheDetails"])) {
    if (isJsonObject(detail) && detail["ttl"] === "1h") {
      sum += tokenCount(detail["inputTokens"]);
    }
  }
  return sum;
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
