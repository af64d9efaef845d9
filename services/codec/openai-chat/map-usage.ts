import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { asObject } from "../json/json-values.ts";

/**
 * Reads a native usage object into classes that do not overlap. Counts that are negative, not finite or not numbers
 * become 0, fractions are cut off, and parts never exceed their whole. Undefined when there is no usage in it, or when
 * the prompt or the completion is counted with what is no count: 0 would make the request free.
 */
export function mapUsage(native: Json | undefined): Usage | undefined {
  const usage = asObject(native);
  if (usage === undefined || (usage["prompt_tokens"] === undefined && usage["completion_tokens"] === undefined)) {
    return undefined;
  }
  if (isNoCount(usage["prompt_tokens"]) || isNoCount(usage["completion_tokens"])) {
    return undefined;
  }
  const prompt = count(usage["prompt_tokens"]);
  const completion = count(usage["completion_tokens"]);
  const promptDetails = asObject(usage["prompt_tokens_details"]) ?? {};
  const completionDetails = asObject(usage["completion_tokens_details"]);
  const cached = Math.min(prompt, count(firstCount(usage, promptDetails, CACHE_READ_FIELDS)));
  const written = Math.min(prompt - cached, count(firstCount(usage, promptDetails, CACHE_WRITE_FIELDS)));
  const uncached = prompt - cached - written;

  const statedReasoning = count(completionDetails?.["reasoning_tokens"]);
  // What the total has beyond its parts. xAI counts reasoning beside the completion, and Gemini's compatible endpoint
  // counts it only in the total.
  const beyond = count(usage["total_tokens"]) - prompt - completion;
  const hidden = beyond > 0 && (completionDetails === undefined || beyond === statedReasoning) ? beyond : 0;
  // Vercel's gateway was seen to report more reasoning than completion: reasoning is output, so output is at least that.
  const output = Math.max(completion + hidden, statedReasoning);

  return {
    $typeName: "penstock.type.v1.Usage",
    uncachedInputTokens: BigInt(uncached),
    cacheReadTokens: BigInt(cached),
    cacheWriteTokens: BigInt(written),
    outputTokens: BigInt(output),
    reasoningTokens: BigInt(Math.max(statedReasoning, hidden)),
    cacheWrite1hTokens: 0n,
    audioInputTokens: BigInt(Math.min(uncached, count(promptDetails["audio_tokens"]))),
    audioOutputTokens: BigInt(Math.min(output, count(completionDetails?.["audio_tokens"]))),
    estimated: false,
  };
}

/** Writes usage as OpenAI does: the prompt includes cache reads and writes, the completion includes reasoning. */
export function writeUsage(usage: Usage): JsonObject {
  const prompt = Number(usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens);
  const completion = Number(usage.outputTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: Number(usage.cacheReadTokens),
      audio_tokens: Number(usage.audioInputTokens),
      ...(usage.cacheWriteTokens > 0n ? { cache_write_tokens: Number(usage.cacheWriteTokens) } : {}),
    },
    completion_tokens_details: {
      reasoning_tokens: Number(usage.reasoningTokens),
      audio_tokens: Number(usage.audioOutputTokens),
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

// Where providers put the count: OpenAI and most in the details, DeepSeek, Mistral and Together beside them.
const CACHE_READ_FIELDS = ["cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens"];
const CACHE_WRITE_FIELDS = ["cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"];

const COUNT_TEXT = /^\d{1,15}$/;

function firstCount(usage: JsonObject, details: JsonObject, fields: readonly string[]): Json | undefined {
  for (const holder of [details, usage]) {
    for (const field of fields) {
      if (count(holder[field]) > 0) {
        return holder[field];
      }
    }
  }
  return undefined;
}

function isNoCount(value: Json | undefined): boolean {
  if (value === undefined || value === null) {
    return false;
  }
  return typeof value === "string" ? !COUNT_TEXT.test(value) : typeof value !== "number" || !(value >= 0);
}

function count(value: Json | undefined): number {
  const number = typeof value === "string" && COUNT_TEXT.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number) || number <= 0) {
    return 0;
  }
  return Math.min(Math.floor(number), Number.MAX_SAFE_INTEGER);
}
