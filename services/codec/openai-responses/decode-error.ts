import type { DecodedError, Json, JsonObject } from "../codec.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { asString } from "../json/json-values.ts";
import { decodeError as decodeOpenAiError } from "../openai-chat/decode-error.ts";

/**
 * Reads an error: what OpenAI's endpoints answer, an `error` event, whose fields stand beside its type or in an object,
 * or a failed response. Never throws.
 */
export function decodeError(body: Json | undefined): DecodedError {
  const decoded = decodeOpenAiError(body);
  // The type of the event is not the type of the error.
  return decoded.type === "error" ? { ...decoded, type: "" } : decoded;
}

/** The error that a response or an event carries in place of an answer; undefined when it carries none. */
export function findEmbeddedError(holder: JsonObject): Json | undefined {
  const error = holder["error"];
  const status = asString(holder["status"]);
  const isError =
    isJsonObject(error) ||
    (typeof error === "string" && error !== "") ||
    status === "failed" ||
    status === "cancelled" ||
    holder["type"] === "error";
  return isError ? holder : undefined;
}
