import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { CodecError, type JsonObject, ProviderStreamError, type StreamDecoder } from "../codec.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { asObject, parseJsonObject } from "../json/json-values.ts";
import { readCalls, readTime } from "./decode-response.ts";
import { createLineCutter, splitLines } from "./line-cutter.ts";
import { mapDoneReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";

const MOST_CALLS = 1024;

/** Decodes Ollama's stream: a line of JSON for each piece. The end event comes with the line that says `done`. */
export function createStreamDecoder(): StreamDecoder {
  const cutter = createLineCutter();
  let callCount = 0;
  let started = false;
  let ended = false;

  function decode(piece: JsonObject, events: ChatEvent[]): void {
    if (ended) {
      return;
    }
    if (!started) {
      started = true;
      events.push(startEvent("", stringOrEmpty(piece["model"]), readTime(piece)));
    }
    const message = asObject(piece["message"]) ?? {};
    const thinking = stringOrEmpty(message["thinking"]);
    const text = stringOrEmpty(message["content"]);
    if (thinking !== "") {
      events.push(reasoningDelta(0, thinking));
    }
    if (text !== "") {
      events.push(textDelta(0, text));
    }
    for (const { id, name, argumentsJson } of readCalls(message, stringOrEmpty(piece["created_at"]), callCount)) {
      if (callCount >= MOST_CALLS) {
        throw new CodecError(`the answer has more than ${MOST_CALLS} tool calls`, { code: "array_above_max_length" });
      }
      events.push(toolCallStart(0, callCount, { id, name }), toolCallDelta(0, callCount, argumentsJson));
      callCount += 1;
    }
    if (piece["done"] === true) {
      ended = true;
      const word = stringOrEmpty(piece["done_reason"]);
      events.push(finishEvent(0, mapDoneReason(word, callCount > 0), word), endEvent(decodeUsage(piece)));
    }
  }

  return {
    push(bytes) {
      const events: ChatEvent[] = [];
      for (const line of splitLines(cutter.push(bytes))) {
        decode(parsePiece(line), events);
      }
      return events;
    },
    end() {
      // The last line counts without its line feed; one that is no JSON was cut.
      const rest = cutter.takeRest().toString("utf8");
      const events: ChatEvent[] = [];
      if (parseJsonObject(rest) !== undefined) {
        decode(parsePiece(rest), events);
      }
      return events;
    },
  };
}

/** Reads one line. Throws ProviderStreamError for an error in place of a piece, CodecError for what is no piece. */
export function parsePiece(line: string): JsonObject {
  const piece = parseJson(line, "the stream");
  if (!isJsonObject(piece)) {
    throw new CodecError("the stream has a line that is not an object", { code: "invalid_stream" });
  }
  if ((piece["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(piece);
  }
  if (asObject(piece["message"]) === undefined && piece["done"] !== true) {
    throw new CodecError("the stream has a line without a message", { code: "invalid_stream" });
  }
  return piece;
}
