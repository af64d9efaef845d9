import { create } from "@bufbuild/protobuf";
import { type ChatRequest, ChatRequestSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, textPart } from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, unsupported } from "../json/json-fields.ts";
import { asArray, asNumber, asObject, asString } from "../json/json-values.ts";
import { decodeSampling } from "../openai-chat/decode-sampling.ts";
import { validateCompletionsRequest } from "./validate-request.ts";

/** What changes the answer and means something only to a model that continues texts, with the value that means nothing. */
const UNTRANSLATABLE: readonly (readonly [string, readonly Json[]])[] = [
  ["suffix", [""]],
  ["echo", [false]],
  ["logprobs", []],
  ["best_of", [1]],
];

/**
 * Reads a completions request: its one text becomes what a user says. Throws CodecError (`unsupported_feature`) for
 * several texts, tokens, and whatever else only a model that continues texts can do.
 */
export function decodeRequest(body: JsonObject): ChatRequest {
  validateCompletionsRequest(body);
  for (const [field, harmless] of UNTRANSLATABLE) {
    const value = body[field];
    // As many as are wanted are made then anyway.
    const isSame = field === "best_of" && value === (body["n"] ?? 1);
    if (value !== undefined && value !== null && !isSame && !harmless.includes(value)) {
      throw unsupported(field, "cannot be used with this model");
    }
  }
  const request = create(ChatRequestSchema, {
    model: asString(body["model"]),
    messages: [message(Role.USER, [textPart(readPrompt(body["prompt"]))])],
    stopSequences: typeof body["stop"] === "string" ? [body["stop"]] : asArray(body["stop"]).map(asString),
    endUserId: asString(body["user"]),
    logitBias: Object.fromEntries(
      Object.entries(asObject(body["logit_bias"]) ?? {}).map(([token, value]) => [token, asNumber(value) ?? 0]),
    ),
  });
  decodeNumbers(body, request);
  return request;
}

function readPrompt(prompt: Json | undefined): string {
  const [text, ...others] = isJsonArray(prompt) ? prompt : [prompt];
  if (others.length > 0 && typeof text === "string") {
    throw unsupported("prompt", "must be one text for this model");
  }
  if (typeof text !== "string") {
    throw unsupported("prompt", "must be text for this model: tokens belong to one model's tokenizer");
  }
  return text;
}

function decodeNumbers(body: JsonObject, request: ChatRequest): void {
  const maxTokens = asNumber(body["max_tokens"]);
  if (maxTokens === 0) {
    throw unsupported("max_tokens", "must be at least 1 for this model");
  }
  if (maxTokens !== undefined) {
    request.maxOutputTokens = BigInt(maxTokens);
  }
  decodeSampling(body, request);
  const count = asNumber(body["n"]);
  if (count !== undefined && count > 1) {
    request.candidateCount = count;
  }
}
