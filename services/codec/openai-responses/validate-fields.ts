import type { Json } from "../codec.ts";
import { invalidType, missingParameter } from "../openai-chat/request-errors.ts";

/** Checks that a value is a string; throws CodecError with OpenAI's words otherwise. */
export function requireString(value: Json | undefined, param: string): string {
  if (typeof value !== "string") {
    throw value === undefined ? missingParameter(param) : invalidType(param, "a string", value);
  }
  return value;
}
