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
import { CodecError, type JsonObject, type StreamDecoder } from "../codec.ts";
import { stringOrEmpty } from "../json/json-fields.ts";
import { asNumber, asObject } from "../json/json-values.ts";
import { isServerTool, readStopSequence } from "./decode-response.ts";
import { createFrameCutter } from "./event-frames.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { parseFrame, type StreamMessage } from "./parse-frame.ts";
import { unwrapRedacted } from "./redacted-content.ts";

const MOST_OPEN_BLOCKS = 1024;

/** A block of a call that has begun and not ended. */
interface OpenCall {
  /** Its place among the calls, which is not its place among the blocks; -1 for a tool that Bedrock runs itself. */
  readonly callIndex: number;
  hasArguments: boolean;
}

/**
 * Decodes a ConverseStream. The end event comes with the metadata, which is the last event and has the usage, and only
 * after a stop reason.
 */
export function createStreamDecoder(): StreamDecoder {
  const cutter = createFrameCutter();
  const openCalls = new Map<number, OpenCall>();
  let callCount = 0;
  let started = false;
  let finished = false;
  let ended = false;

  function startBlock(index: number, start: JsonObject, events: ChatEvent[]): void {
    const call = asObject(start["toolUse"]);
    if (call === undefined) {
      return;
    }
    if (openCalls.size >= MOST_OPEN_BLOCKS) {
      throw new CodecError("the stream has too many open blocks", { code: "invalid_stream" });
    }
    if (isServerTool(call)) {
      openCalls.set(index, { callIndex: -1, hasArguments: false });
      return;
    }
    openCalls.set(index, { callIndex: callCount, hasArguments: false });
    events.push(
      toolCallStart(0, callCount, { id: stringOrEmpty(call["toolUseId"]), name: stringOrEmpty(call["name"]) }),
    );
    callCount += 1;
  }

  function continueBlock(index: number, delta: JsonObject, events: ChatEvent[]): void {
    const text = stringOrEmpty(delta["text"]);
    if (text !== "") {
      events.push(textDelta(0, text));
    }
    const thought = asObject(delta["reasoningContent"]);
    if (thought !== undefined) {
      pushThought(thought, events);
    }
    const call = asObject(delta["toolUse"]);
    if (call !== undefined) {
      const open = openCalls.get(index);
      if (open === undefined) {
        throw new CodecError(`the stream continues call ${index}, which is not open`, { code: "invalid_stream" });
      }
      const piece = stringOrEmpty(call["input"]);
      if (open.callIndex >= 0 && piece !== "") {
        open.hasArguments = true;
        events.push(toolCallDelta(0, open.callIndex, piece));
      }
    }
  }

  function stopBlock(index: number, events: ChatEvent[]): void {
    const open = openCalls.get(index);
    openCalls.delete(index);
    if (open !== undefined && open.callIndex >= 0 && !open.hasArguments) {
      events.push(toolCallDelta(0, open.callIndex, "{}"));
    }
  }

  function decode({ type, body }: StreamMessage, events: ChatEvent[]): void {
    const index = asNumber(body["contentBlockIndex"]) ?? 0;
    if (!started && type !== "messageStart") {
      throw new CodecError("the stream does not begin with messageStart", { code: "invalid_stream" });
    }
    switch (type) {
      case "messageStart":
        if (!started) {
          started = true;
          events.push(startEvent("", ""));
        }
        break;
      case "contentBlockStart":
        startBlock(index, asObject(body["start"]) ?? {}, events);
        break;
      case "contentBlockDelta":
        continueBlock(index, asObject(body["delta"]) ?? {}, events);
        break;
      case "contentBlockStop":
        stopBlock(index, events);
        break;
      case "messageStop":
        finish(body, events);
        break;
      case "metadata":
        if (finished) {
          ended = true;
          events.push(endEvent(decodeUsage(body["usage"])));
        }
        break;
      default:
        break;
    }
  }

  function finish(body: JsonObject, events: ChatEvent[]): void {
    const stopReason = stringOrEmpty(body["stopReason"]);
    if (stopReason === "" || finished) {
      return;
    }
    for (const index of openCalls.keys()) {
      stopBlock(index, events);
    }
    finished = true;
    events.push(finishEvent(0, mapStopReason(stopReason), stopReason, readStopSequence(body)));
  }

  return {
    push(bytes) {
      const events: ChatEvent[] = [];
      for (const frame of cutter.push(bytes)) {
        const message = parseFrame(frame);
        // An answer is told once: what a server may send after its end is not part of it.
        if (!ended) {
          decode(message, events);
        }
      }
      return events;
    },
    end: () => [],
  };
}

function pushThought(thought: JsonObject, events: ChatEvent[]): void {
  const redacted = stringOrEmpty(thought["redactedContent"]);
  const text = stringOrEmpty(thought["text"]);
  const signature = stringOrEmpty(thought["signature"]);
  if (redacted !== "") {
    events.push(reasoningDelta(0, "", "", unwrapRedacted(redacted)));
  }
  if (text !== "" || signature !== "") {
    events.push(reasoningDelta(0, text, signature));
  }
}
