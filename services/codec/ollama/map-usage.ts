import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import type { JsonObject } from "../codec.ts";
import { toJsonNumber, tokenCount } from "../json/json-fields.ts";

/** Reads the counts that stand in an answer itself; undefined when it has none. */
export function decodeUsage(answer: JsonObject): Usage | undefined {
  if (answer["prompt_eval_count"] === undefined && answer["eval_count"] === undefined) {
    return undefined;
  }
  return create(UsageSchema, {
    uncachedInputTokens: tokenCount(answer["prompt_eval_count"]),
    outputTokens: tokenCount(answer["eval_count"]),
  });
}

/** Writes usage as members of an answer. */
export function encodeUsage(usage: Usage | undefined): JsonObject {
  return usage === undefined
    ? {}
    : {
        prompt_eval_count: toJsonNumber(usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens),
        eval_count: toJsonNumber(usage.outputTokens),
      };
}
