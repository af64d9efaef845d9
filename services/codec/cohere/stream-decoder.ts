import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { CodecError, type JsonObject, type StreamDecoder } from "../codec.ts";
import { stringOrEmpty } from "../json/json-fields.ts";
import { asIndex, asObject } from "../json/json-values.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import { normalizeArguments } from "./decode-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { FINAL_MARKER, parseStreamEvent } from "./parse-stream-event.ts";

const MOST_CALLS = 1024;
const NO_ARGUMENTS = "null";

/** A call that has begun and not ended. */
interface OpenCall {
  readonly callIndex: number;
  /** Arguments that may still turn out to be none; undefined once they have begun. */
  held: string | undefined;
}

/** Decodes Cohere's stream. The end event comes with the final marker or the end of the bytes, after a finish only. */
export function createStreamDecoder(): StreamDecoder {
  const sse = createSseDecoder();
  const openCalls = new Map<number, OpenCall>();
  let usage: Usage | undefined;
  let callCount = 0;
  let started = false;
  let finished = false;
  let ended = false;

  function startCall(index: number, call: JsonObject, events: ChatEvent[]): void {
    if (callCount >= MOST_CALLS) {
      throw new CodecError(`the answer has more than ${MOST_CALLS} tool calls`, { code: "array_above_max_length" });
    }
    stopCall(index, events);
    openCalls.set(index, { callIndex: callCount, held: "" });
    const name = stringOrEmpty(asObject(call["function"])?.["name"]);
    events.push(toolCallStart(0, callCount, { id: stringOrEmpty(call["id"]), name }));
    callCount += 1;
    continueCall(index, call, events);
  }

  function continueCall(index: number, call: JsonObject, events: ChatEvent[]): void {
    const open = openCalls.get(index);
    if (open === undefined) {
      throw new CodecError(`the stream continues call ${index}, which is not open`, { code: "invalid_stream" });
    }
    const piece = stringOrEmpty(asObject(call["function"])?.["arguments"]);
    if (open.held !== undefined) {
      open.held += piece;
      if (!NO_ARGUMENTS.startsWith(open.held.trim())) {
        events.push(toolCallDelta(0, open.callIndex, open.held));
        open.held = undefined;
      }
    } else if (piece !== "") {
      events.push(toolCallDelta(0, open.callIndex, piece));
    }
  }

  function stopCall(index: number, events: ChatEvent[]): void {
    const open = openCalls.get(index);
    openCalls.delete(index);
    if (open?.held !== undefined) {
      events.push(toolCallDelta(0, open.callIndex, normalizeArguments(open.held)));
    }
  }

  function finish(delta: JsonObject, events: ChatEvent[]): void {
    const word = stringOrEmpty(delta["finish_reason"]);
    if (word === "" || finished) {
      return;
    }
    for (const index of openCalls.keys()) {
      stopCall(index, events);
    }
    finished = true;
    usage = decodeUsage(delta["usage"]);
    events.push(finishEvent(0, mapFinishReason(word), word));
  }

  function decode(event: JsonObject, events: ChatEvent[]): void {
    const index = asIndex(event["index"]) ?? 0;
    const delta = asObject(event["delta"]) ?? {};
    const message = asObject(delta["message"]) ?? {};
    const type = event["type"];
    if (!started && type !== "message-start") {
      throw new CodecError("the stream does not begin with message-start", { code: "invalid_stream" });
    }
    switch (type) {
      case "message-start":
        if (!started) {
          started = true;
          events.push(startEvent(stringOrEmpty(event["id"]), ""));
        }
        break;
      case "content-start":
      case "content-delta":
        pushContent(asObject(message["content"]) ?? {}, events);
        break;
      case "tool-plan-delta":
        pushContent({ text: message["tool_plan"] }, events);
        break;
      case "tool-call-start":
        startCall(index, asObject(message["tool_calls"]) ?? {}, events);
        break;
      case "tool-call-delta":
        continueCall(index, asObject(message["tool_calls"]) ?? {}, events);
        break;
      case "tool-call-end":
        stopCall(index, events);
        break;
      case "message-end":
        finish(delta, events);
        break;
      default:
        // Citations, and what may come to be.
        break;
    }
  }

  function decodeAll(messages: readonly SseEvent[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const { data } of messages) {
      if (ended) {
        break;
      }
      if (data.trim() === FINAL_MARKER) {
        complete(events);
      } else {
        const event = parseStreamEvent(data);
        // An answer is told once: what a server may send after its end is not part of it.
        if (!finished) {
          decode(event, events);
        }
      }
    }
    return events;
  }

  function complete(events: ChatEvent[]): void {
    if (finished && !ended) {
      ended = true;
      events.push(endEvent(usage));
    }
  }

  return {
    push: (bytes) => decodeAll(sse.push(bytes)),
    end() {
      const events = decodeAll(sse.end());
      if (!sse.isCut) {
        complete(events);
      }
      return events;
    },
  };
}

function pushContent(content: JsonObject, events: ChatEvent[]): void {
  const text = stringOrEmpty(content["text"]);
  const thinking = stringOrEmpty(content["thinking"]);
  if (thinking !== "") {
    events.push(reasoningDelta(0, thinking));
  }
  if (text !== "") {
    events.push(textDelta(0, text));
  }
}
