import type { ChatEvent, FinishEvent, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { writeSseData, writeSseEvent } from "../sse/write-sse.ts";
import { toCohereFinish } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { FINAL_MARKER } from "./parse-stream-event.ts";

type BlockKind = "text" | "thinking";

/**
 * Encodes Cohere's stream. Texts and thoughts are blocks, one after the other; calls have an index of their own and end
 * with the answer. Writes no end when no finish was seen, so that a cut answer cannot look complete.
 */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  let out = "";
  let started = false;
  let openKind: BlockKind | undefined;
  let blockIndex = -1;
  let callCount = 0;
  let finish: FinishEvent | undefined;

  function write(type: string, rest: JsonObject): void {
    out += writeSseEvent(type, JSON.stringify({ type, ...rest }));
  }

  function start(id: string): void {
    if (started) {
      return;
    }
    started = true;
    write("message-start", {
      id: id === "" ? options.fallbackId : id,
      delta: { message: { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] } },
    });
  }

  function closeBlock(): void {
    if (openKind !== undefined) {
      openKind = undefined;
      write("content-end", { index: blockIndex });
    }
  }

  function writeContent(kind: BlockKind, text: string): void {
    if (text === "") {
      return;
    }
    if (openKind !== kind) {
      closeBlock();
      start("");
      openKind = kind;
      blockIndex += 1;
      write("content-start", { index: blockIndex, delta: { message: { content: { type: kind, [kind]: "" } } } });
    }
    write("content-delta", { index: blockIndex, delta: { message: { content: { [kind]: text } } } });
  }

  function startCall({ callIndex, id, name }: ToolCallStart): void {
    closeBlock();
    start("");
    callCount = Math.max(callCount, callIndex + 1);
    const call = { id, type: "function", function: { name, arguments: "" } };
    write("tool-call-start", { index: callIndex, delta: { message: { tool_calls: call } } });
  }

  function end(usage: Usage | undefined): void {
    closeBlock();
    if (finish === undefined) {
      return;
    }
    start("");
    for (let index = 0; index < callCount; index++) {
      write("tool-call-end", { index });
    }
    write("message-end", { delta: { finish_reason: toCohereFinish(finish), usage: encodeUsage(usage) } });
    out += writeSseData(FINAL_MARKER);
  }

  function encodeEvent({ event }: ChatEvent): void {
    // Cohere's answers have one candidate; those of others are left out.
    if (event.value !== undefined && "candidateIndex" in event.value && event.value.candidateIndex !== 0) {
      return;
    }
    switch (event.case) {
      case "start":
        start(event.value.id);
        break;
      case "textDelta":
      case "refusalDelta":
        writeContent("text", event.value.text);
        break;
      case "reasoningDelta":
        writeContent("thinking", event.value.text);
        break;
      case "toolCallStart":
        startCall(event.value);
        break;
      case "toolCallDelta": {
        const { callIndex, argumentsJson } = event.value;
        const call = { function: { arguments: argumentsJson } };
        write("tool-call-delta", { index: callIndex, delta: { message: { tool_calls: call } } });
        break;
      }
      case "finish":
        finish = event.value;
        break;
      case "end":
        end(event.value.usage);
        break;
      default:
        throw new CodecError("the stream has an event without content", { code: "invalid_stream" });
    }
  }

  return {
    encode(events) {
      out = "";
      for (const event of events) {
        encodeEvent(event);
      }
      return Buffer.from(out, "utf8");
    },
  };
}
