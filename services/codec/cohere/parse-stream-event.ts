import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { mapFinishReason } from "./map-finish-reason.ts";

/** The data of the event after which nothing follows. */
export const FINAL_MARKER = "[DONE]";

/**
 * Reads the data of an event. Throws CodecError for what is no event, and ProviderStreamError for an error in place of
 * one or a generation that failed.
 */
export function parseStreamEvent(data: string): JsonObject {
  const event = parseJson(data, "the stream");
  if (!isJsonObject(event)) {
    throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
  }
  const type = stringOrEmpty(event["type"]);
  const word = type === "message-end" ? stringOrEmpty(asObject(event["delta"])?.["finish_reason"]) : "";
  const isError = type === "" || type === "error" || mapFinishReason(word) === FinishReason.ERROR;
  if (isError) {
    throw new ProviderStreamError(event);
  }
  return event;
}
