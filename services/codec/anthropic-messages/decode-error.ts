import type { DecodedError, Json } from "../codec.ts";
import { findError, LONGEST_MESSAGE, readLooseMessage } from "../json/find-error.ts";
import { stringOrEmpty } from "../json/json-fields.ts";

/** Reads Anthropic's `{type: "error", error: {type, message}}`, and every other shape that proxies answer with. */
export function decodeError(body: Json | undefined): DecodedError {
  const error = findError(body);
  if (error === undefined) {
    return { message: readLooseMessage(body), type: "", code: "", param: "", retryDelayMs: undefined };
  }
  return {
    message: stringOrEmpty(error["message"]).slice(0, LONGEST_MESSAGE),
    type: stringOrEmpty(error["type"]),
    code: wordOf(error["code"]),
    param: stringOrEmpty(error["param"]),
    retryDelayMs: undefined,
  };
}

function wordOf(value: Json | undefined): string {
  return typeof value === "number" ? String(value) : stringOrEmpty(value);
}
