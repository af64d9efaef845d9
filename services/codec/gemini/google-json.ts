import { isJsonArray, isJsonObject, wrongType } from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";

/**
 * The same object with the keys of its top level in camelCase, because Google accepts `max_output_tokens` as well as
 * `maxOutputTokens`. Deeper levels stay as they are: they may be schemas or arguments, whose keys are the caller's own.
 */
export function camelKeys(object: JsonObject): JsonObject {
  const keys = Object.keys(object);
  if (!keys.some((key) => key.includes("_"))) {
    return object;
  }
  const renamed: Record<string, Json | undefined> = {};
  for (const key of keys) {
    renamed[key.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())] = object[key];
  }
  return renamed;
}

/** The elements of a list; Google takes one element alone where a list is meant. Throws CodecError for anything else. */
export function listOf(value: Json, path: string): readonly Json[] {
  if (isJsonArray(value)) {
    return value;
  }
  if (isJsonObject(value)) {
    return [value];
  }
  throw wrongType(path, "an array");
}
