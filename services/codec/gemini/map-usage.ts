import { create } from "@bufbuild/protobuf";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import { isJsonArray, isJsonObject, toJsonNumber, tokenCount } from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";

/**
 * Reads `usageMetadata`. Gemini's prompt count holds the cached tokens and not those that its own tools read, and its
 * candidate count does not hold the thoughts. Undefined when it counts nothing, as Vertex sends it until the end.
 */
export function decodeUsage(usage: Json | undefined): Usage | undefined {
  if (!isJsonObject(usage)) {
    return undefined;
  }
  if (usage["promptTokenCount"] === undefined && usage["totalTokenCount"] === undefined) {
    return undefined;
  }
  const input = tokenCount(usage["promptTokenCount"]) + tokenCount(usage["toolUsePromptTokenCount"]);
  const cached = smaller(tokenCount(usage["cachedContentTokenCount"]), input);
  const thoughts = tokenCount(usage["thoughtsTokenCount"]);
  const output = tokenCount(usage["candidatesTokenCount"]) + thoughts;
  const audio = countOf("AUDIO", usage["promptTokensDetails"]) + countOf("AUDIO", usage["toolUsePromptTokensDetails"]);
  const cachedAudio = countOf("AUDIO", usage["cacheTokensDetails"]);
  const drawn = smaller(countOf("IMAGE", usage["candidatesTokensDetails"]), output);
  return create(UsageSchema, {
    uncachedInputTokens: input - cached,
    cacheReadTokens: cached,
    outputTokens: output,
    reasoningTokens: thoughts,
    audioInputTokens: smaller(audio > cachedAudio ? audio - cachedAudio : 0n, input - cached),
    audioOutputTokens: smaller(countOf("AUDIO", usage["candidatesTokensDetails"]), output),
    ...(drawn === 0n ? {} : { imageOutputTokens: drawn }),
  });
}

/** Writes `usageMetadata`, as a field to spread into an answer; nothing when there is no usage. */
export function encodeUsage(usage: Usage | undefined): JsonObject {
  if (usage === undefined) {
    return {};
  }
  const prompt = usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  const thoughts = smaller(usage.reasoningTokens, usage.outputTokens);
  return {
    usageMetadata: {
      promptTokenCount: toJsonNumber(prompt),
      candidatesTokenCount: toJsonNumber(usage.outputTokens - thoughts),
      totalTokenCount: toJsonNumber(prompt + usage.outputTokens),
      ...(usage.cacheReadTokens > 0n ? { cachedContentTokenCount: toJsonNumber(usage.cacheReadTokens) } : {}),
      ...(thoughts > 0n ? { thoughtsTokenCount: toJsonNumber(thoughts) } : {}),
      ...encodeAudio("promptTokensDetails", usage.audioInputTokens, prompt),
      ...encodeAudio("candidatesTokensDetails", usage.audioOutputTokens, usage.outputTokens - thoughts),
    },
  };
}

function countOf(modality: "AUDIO" | "IMAGE", details: Json | undefined): bigint {
  const found = (isJsonArray(details) ? details : []).find(
    (entry) => isJsonObject(entry) && entry["modality"] === modality,
  );
  return isJsonObject(found) ? tokenCount(found["tokenCount"]) : 0n;
}

function encodeAudio(field: string, audio: bigint, whole: bigint): JsonObject {
  if (audio === 0n) {
    return {};
  }
  return {
    [field]: [
      { modality: "AUDIO", tokenCount: toJsonNumber(audio) },
      { modality: "TEXT", tokenCount: toJsonNumber(whole > audio ? whole - audio : 0n) },
    ],
  };
}

function smaller(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
