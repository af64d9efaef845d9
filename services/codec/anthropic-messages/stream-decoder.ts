import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type Json, type JsonObject, ProviderStreamError, type StreamDecoder } from "../codec.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { asIndex } from "../json/json-values.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage, mergeUsage } from "./map-usage.ts";

const MOST_OPEN_BLOCKS = 256;

/** A block that has begun and not ended. */
interface OpenBlock {
  readonly type: string;
  /** Its place among the tool calls, which is not its place among the blocks; -1 for other blocks. */
  readonly callIndex: number;
  /** Arguments that came with the beginning of the block, sent only when no pieces follow. */
  readonly input: JsonObject;
  hasJson: boolean;
}

/** Decodes Anthropic's stream. The end event comes with `message_stop`, and only after a stop reason. */
export function createStreamDecoder(): StreamDecoder {
  const sse = createSseDecoder();
  const openBlocks = new Map<number, OpenBlock>();
  let usage: JsonObject | undefined;
  let callCount = 0;
  let started = false;
  let finished = false;
  let ended = false;

  function startBlock(index: number, block: JsonObject, events: ChatEvent[]): void {
    if (openBlocks.size >= MOST_OPEN_BLOCKS) {
      throw new CodecError("the stream has too many open blocks", { code: "invalid_stream" });
    }
    const type = stringOrEmpty(block["type"]);
    const isCall = type === "tool_use";
    const input = isJsonObject(block["input"]) ? block["input"] : {};
    openBlocks.set(index, { type, callIndex: isCall ? callCount : -1, input, hasJson: false });
    if (isCall) {
      events.push(toolCallStart(0, callCount, { id: stringOrEmpty(block["id"]), name: stringOrEmpty(block["name"]) }));
      callCount += 1;
    } else if (type === "redacted_thinking") {
      events.push(reasoningDelta(0, "", "", stringOrEmpty(block["data"])));
    } else if (type === "text" && stringOrEmpty(block["text"]) !== "") {
      events.push(textDelta(0, stringOrEmpty(block["text"])));
    } else if (type === "thinking") {
      pushThought(stringOrEmpty(block["thinking"]), stringOrEmpty(block["signature"]), events);
    }
  }

  function continueBlock(index: number, delta: JsonObject, events: ChatEvent[]): void {
    const block = openBlocks.get(index);
    if (block === undefined) {
      throw new CodecError(`the stream continues block ${index}, which is not open`, { code: "invalid_stream" });
    }
    switch (delta["type"]) {
      case "text_delta":
        if (block.type === "text" && delta["text"] !== "") {
          events.push(textDelta(0, stringOrEmpty(delta["text"])));
        }
        break;
      case "thinking_delta":
        pushThought(stringOrEmpty(delta["thinking"]), "", events);
        break;
      case "signature_delta":
        pushThought("", stringOrEmpty(delta["signature"]), events);
        break;
      case "input_json_delta": {
        const piece = stringOrEmpty(delta["partial_json"]);
        // The blocks of tools that Anthropic runs itself send arguments too, and have no place among the calls.
        if (block.callIndex >= 0 && piece !== "") {
          block.hasJson = true;
          events.push(toolCallDelta(0, block.callIndex, piece));
        }
        break;
      }
      default:
        break;
    }
  }

  function stopBlock(index: number, events: ChatEvent[]): void {
    const block = openBlocks.get(index);
    openBlocks.delete(index);
    if (block !== undefined && block.callIndex >= 0 && !block.hasJson) {
      events.push(toolCallDelta(0, block.callIndex, JSON.stringify(block.input)));
    }
  }

  function decode(message: JsonObject, events: ChatEvent[]): void {
    const index = asIndex(message["index"]) ?? 0;
    switch (message["type"]) {
      case "message_start": {
        const start = isJsonObject(message["message"]) ? message["message"] : {};
        usage = mergeUsage(usage, start["usage"]);
        started = true;
        events.push(
          startEvent(stringOrEmpty(start["id"]), stringOrEmpty(start["model"]), undefined, decodeUsage(usage)),
        );
        break;
      }
      case "content_block_start":
        startBlock(index, isJsonObject(message["content_block"]) ? message["content_block"] : {}, events);
        break;
      case "content_block_delta":
        continueBlock(index, isJsonObject(message["delta"]) ? message["delta"] : {}, events);
        break;
      case "content_block_stop":
        stopBlock(index, events);
        break;
      case "message_delta":
        usage = mergeUsage(usage, message["usage"]);
        finish(isJsonObject(message["delta"]) ? message["delta"] : {}, events);
        break;
      case "message_stop":
        if (finished) {
          ended = true;
          events.push(endEvent(decodeUsage(usage)));
        }
        break;
      case "error":
        throw new ProviderStreamError(message);
      default:
        break;
    }
  }

  function finish(delta: JsonObject, events: ChatEvent[]): void {
    const stopReason = stringOrEmpty(delta["stop_reason"]);
    if (stopReason !== "" && !finished) {
      finished = true;
      events.push(finishEvent(0, mapStopReason(stopReason), stopReason, stringOrEmpty(delta["stop_sequence"])));
    }
  }

  function decodeAll(messages: readonly SseEvent[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const { event, data } of messages) {
      const message = parseJson(data, "the stream");
      if (!isJsonObject(message)) {
        throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
      }
      if (event === "error" || isErrorBody(message)) {
        throw new ProviderStreamError(message);
      }
      if (!started && isBlockMessage(message["type"])) {
        throw new CodecError("the stream does not begin with message_start", { code: "invalid_stream" });
      }
      if (!ended) {
        decode(message, events);
      }
    }
    return events;
  }

  return {
    push: (bytes) => decodeAll(sse.push(bytes)),
    end: () => decodeAll(sse.end()),
  };
}

function pushThought(text: string, signature: string, events: ChatEvent[]): void {
  if (text !== "" || signature !== "") {
    events.push(reasoningDelta(0, text, signature));
  }
}

/** True for an error without the type of an event, as proxies put it into a stream. */
function isErrorBody(message: JsonObject): boolean {
  return (
    message["type"] === "error" || (message["type"] === undefined && (message["error"] ?? undefined) !== undefined)
  );
}

function isBlockMessage(type: Json | undefined): boolean {
  return typeof type === "string" && (type.startsWith("content_block") || type === "message_delta");
}
