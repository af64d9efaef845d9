import { CodecError, type Json, type JsonObject, ProviderStreamError } from "../codec.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { asObject, asString } from "../json/json-values.ts";
import type { SseEvent } from "../sse/sse-decoder.ts";

/** One event of a response's stream. */
export interface StreamEvent {
  readonly type: string;
  readonly body: JsonObject;
}

/**
 * Parses an event. Undefined for `[DONE]`, which some servers add and which says nothing. Throws ProviderStreamError for
 * an error and for a response that failed, CodecError for what is no event of the dialect.
 */
export function parseStreamEvent(message: SseEvent): StreamEvent | undefined {
  if (message.data.trim() === "[DONE]") {
    return undefined;
  }
  let body: Json;
  try {
    // JSON.parse makes nothing but JSON values.
    body = JSON.parse(message.data) as Json;
  } catch (cause) {
    if (message.event === "error") {
      throw new ProviderStreamError(message.data);
    }
    throw new CodecError("the stream holds an event that is not JSON", { code: "invalid_json", cause });
  }
  if (!isJsonObject(body)) {
    if (message.event === "error") {
      throw new ProviderStreamError(body);
    }
    throw new CodecError("the stream holds an event that is not an object", { code: "invalid_type" });
  }
  const type = asString(body["type"]) || message.event;
  if (type === "response.failed") {
    throw new ProviderStreamError(asObject(body["response"]) ?? body);
  }
  const isBareError = body["type"] === undefined && (body["error"] ?? undefined) !== undefined;
  if (type === "error" || message.event === "error" || isBareError) {
    throw new ProviderStreamError(body);
  }
  return { type, body };
}
