import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { emptyArray, invalidType, missingParameter } from "../openai-chat/request-errors.ts";
import { type NumberRule, validateAllowed, validateBooleans, validateNumbers } from "../openai-chat/validate-fields.ts";
import { validateStop, validateStreamOptions } from "../openai-chat/validate-request.ts";

const NUMBER_RULES: readonly NumberRule[] = [
  { field: "max_tokens", minimum: 0, maximum: 2 ** 31 - 1, integer: true },
  { field: "temperature", minimum: 0, maximum: 2, integer: false },
  { field: "top_p", minimum: 0, maximum: 1, integer: false },
  { field: "n", minimum: 1, maximum: 128, integer: true },
  { field: "best_of", minimum: 1, maximum: 128, integer: true },
  { field: "logprobs", minimum: 0, maximum: 100, integer: true },
  { field: "presence_penalty", minimum: -2, maximum: 2, integer: false },
  { field: "frequency_penalty", minimum: -2, maximum: 2, integer: false },
  { field: "seed", minimum: -(2 ** 63), maximum: 2 ** 63 - 1024, integer: true },
];
const BOOLEAN_FIELDS = ["stream", "echo"];
const STRING_FIELDS = ["suffix", "user"];

/**
 * Checks the shape of a completions request as OpenAI does, without building anything. Fields that OpenAI does not have
 * pass, since compatible servers have them. Throws CodecError with OpenAI's code and the path of the parameter.
 */
export function validateCompletionsRequest(body: JsonObject): void {
  validateAllowed(body);
  validatePrompt(body["prompt"]);
  validateNumbers(body, NUMBER_RULES);
  validateBooleans(body, BOOLEAN_FIELDS);
  for (const field of STRING_FIELDS) {
    const value = body[field];
    if (value !== undefined && value !== null && typeof value !== "string") {
      throw invalidType(field, "a string", value);
    }
  }
  validateStop(body["stop"]);
  validateStreamOptions(body);
}

/** How many texts a checked prompt asks to be continued: a list of numbers is one text in tokens. */
export function countPrompts(prompt: Json | undefined): number {
  return isJsonArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
}

function validatePrompt(prompt: Json | undefined): void {
  if (prompt === undefined || prompt === null) {
    throw missingParameter("prompt");
  }
  if (typeof prompt === "string") {
    return;
  }
  if (!isJsonArray(prompt)) {
    throw invalidType("prompt", "one of a string, an array of strings or an array of tokens", prompt);
  }
  const [first] = prompt;
  if (first === undefined) {
    throw emptyArray("prompt");
  }
  for (const [index, entry] of prompt.entries()) {
    const isTokens = isJsonArray(entry) && entry.length > 0 && entry.every((token) => typeof token === "number");
    const isLikeFirst = typeof entry === typeof first && isJsonArray(entry) === isJsonArray(first);
    if (!isLikeFirst || !(typeof entry === "string" || typeof entry === "number" || isTokens)) {
      throw invalidType(`prompt[${index}]`, "a string or an array of tokens, like the others", entry);
    }
  }
}
