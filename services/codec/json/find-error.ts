import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "./json-fields.ts";

/** The longest message that is taken from an error, in characters. */
export const LONGEST_MESSAGE = 2000;

/** The object under `error`, also where the body is an array of them (as Google's endpoints answer). */
export function findError(body: Json | undefined): JsonObject | undefined {
  const first = isJsonArray(body) ? body[0] : body;
  const error = isJsonObject(first) ? first["error"] : undefined;
  return isJsonObject(error) ? error : undefined;
}

/** A message from a body without an error object: `{error: "…"}`, `{message}`, `{detail}`, a string, an HTML page. */
export function readLooseMessage(body: Json | undefined): string {
  const first = isJsonArray(body) ? body[0] : body;
  if (typeof first === "string") {
    return readText(first);
  }
  if (!isJsonObject(first)) {
    return "";
  }
  const found = [first["error"], first["message"], first["Message"], first["detail"]].find((value) => Boolean(value));
  if (found === undefined) {
    return "";
  }
  return typeof found === "string" ? readText(found) : JSON.stringify(found).slice(0, LONGEST_MESSAGE);
}

function readText(whole: string): string {
  // A page of a proxy can be long, and its message is at its beginning.
  const text = whole.slice(0, 10 * LONGEST_MESSAGE);
  const plain = /<\w/.test(text) ? text.replaceAll(/<(script|style)\b[^]*?<\/\1>|<[^>]*>/gi, " ") : text;
  return plain.replaceAll(/\s+/g, " ").trim().slice(0, LONGEST_MESSAGE);
}
