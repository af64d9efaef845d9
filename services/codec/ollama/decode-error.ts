import type { DecodedError, Json } from "../codec.ts";
import { findError, LONGEST_MESSAGE, readLooseMessage } from "../json/find-error.ts";
import { stringOrEmpty } from "../json/json-fields.ts";

/** Reads Ollama's `{error: "…"}`, the object that its OpenAI door answers with, and every other shape of proxies. */
export function decodeError(body: Json | undefined): DecodedError {
  const error = findError(body);
  return {
    message: error === undefined ? readLooseMessage(body) : stringOrEmpty(error["message"]).slice(0, LONGEST_MESSAGE),
    type: stringOrEmpty(error?.["type"]),
    code: stringOrEmpty(error?.["code"]),
    param: "",
    retryDelayMs: undefined,
  };
}
