import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { isJsonObject, parseJson } from "../json/json-fields.ts";
import { parseJsonObject } from "../json/json-values.ts";
import { type EventFrame, readFrame } from "./event-frames.ts";

/** One event of a stream. */
export interface StreamMessage {
  readonly type: string;
  readonly body: JsonObject;
}

/**
 * Reads the event in a frame. Throws ProviderStreamError for an exception or error, whose body has the kind as
 * `__type`, and CodecError for a frame that is damaged or has no JSON object.
 */
export function parseFrame(bytes: Buffer): StreamMessage {
  const frame = readFrame(bytes);
  if (frame.messageType !== "event") {
    throw new ProviderStreamError(errorBody(frame));
  }
  const body = parseJson(frame.payload === "" ? "{}" : frame.payload, "the stream");
  if (!isJsonObject(body)) {
    throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
  }
  return { type: frame.eventType, body };
}

function errorBody({ eventType, errorMessage, payload }: EventFrame): JsonObject {
  const said = parseJsonObject(payload) ?? { message: payload };
  return { ...said, ...(errorMessage === "" ? {} : { message: errorMessage }), __type: eventType };
}
