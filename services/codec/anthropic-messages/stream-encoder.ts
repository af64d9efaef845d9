import type { ChatEvent, FinishEvent, ReasoningDelta, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { writeSseEvent } from "../sse/write-sse.ts";
import { toStopReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { markForNextPart, markForPreviousPart } from "./part-signature.ts";
import { createToolCallQueue } from "./tool-call-queue.ts";

type BlockKind = "text" | "thinking" | "tool_use";

/**
 * Encodes Anthropic's stream: one block at a time, in order, each begun and ended; usage in `message_delta`. Writes no
 * end when no finish was seen, so that a cut answer cannot look complete.
 */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  let out = "";
  let started = false;
  let openKind: BlockKind | undefined;
  let blockIndex = -1;
  let finish: FinishEvent | undefined;
  const calls = createToolCallQueue({ start: startCall, continue: writeArguments, stop: closeBlock });

  function write(message: JsonObject & { readonly type: string }): void {
    out += writeSseEvent(message.type, JSON.stringify(message));
  }

  function start(id: string, model: string, usage: Usage | undefined): void {
    if (started) {
      return;
    }
    started = true;
    write({
      type: "message_start",
      message: {
        id: id === "" ? options.fallbackId : id,
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: encodeUsage(usage),
      },
    });
  }

  function openBlock(kind: BlockKind, block: JsonObject): void {
    closeBlock();
    start("", "", undefined);
    blockIndex += 1;
    openKind = kind;
    write({ type: "content_block_start", index: blockIndex, content_block: block });
  }

  function closeBlock(): void {
    if (openKind !== undefined) {
      openKind = undefined;
      write({ type: "content_block_stop", index: blockIndex });
    }
  }

  function writeDelta(delta: JsonObject): void {
    write({ type: "content_block_delta", index: blockIndex, delta });
  }

  function writeText(text: string, signature: string): void {
    calls.flush();
    if (text !== "") {
      if (openKind !== "text") {
        openBlock("text", { type: "text", text: "" });
      }
      writeDelta({ type: "text_delta", text });
    }
    if (signature !== "") {
      openThought();
      signThought(markForPreviousPart(signature));
    }
  }

  function openThought(): void {
    openBlock("thinking", { type: "thinking", thinking: "", signature: "" });
  }

  function signThought(signature: string): void {
    writeDelta({ type: "signature_delta", signature });
    closeBlock();
  }

  function writeThought({ text, signature, redactedData }: ReasoningDelta): void {
    calls.flush();
    if (redactedData !== "") {
      openBlock("thinking", { type: "redacted_thinking", data: redactedData });
      closeBlock();
      return;
    }
    if (openKind !== "thinking" && (text !== "" || signature !== "")) {
      openThought();
    }
    if (text !== "") {
      writeDelta({ type: "thinking_delta", thinking: text });
    }
    if (signature !== "") {
      signThought(signature);
    }
  }

  function startCall({ id, name, signature }: ToolCallStart): void {
    if (signature !== "") {
      openThought();
      signThought(markForNextPart(signature));
    }
    openBlock("tool_use", { type: "tool_use", id, name, input: {} });
  }

  function writeArguments(argumentsJson: string): void {
    writeDelta({ type: "input_json_delta", partial_json: argumentsJson });
  }

  function end(usage: Usage | undefined): void {
    calls.flush();
    closeBlock();
    if (finish === undefined) {
      return;
    }
    start("", "", undefined);
    write({
      type: "message_delta",
      delta: {
        stop_reason: toStopReason(finish),
        stop_sequence: finish.stopSequence === "" ? null : finish.stopSequence,
      },
      usage: encodeUsage(usage),
    });
    write({ type: "message_stop" });
  }

  function encodeEvent({ event }: ChatEvent): void {
    // Anthropic's answers have one candidate; those of others are left out.
    if (event.value !== undefined && "candidateIndex" in event.value && event.value.candidateIndex !== 0) {
      return;
    }
    switch (event.case) {
      case "start":
        start(event.value.id, event.value.model, event.value.usage);
        break;
      case "textDelta":
        writeText(event.value.text, event.value.signature);
        break;
      case "refusalDelta":
        writeText(event.value.text, "");
        break;
      case "reasoningDelta":
        writeThought(event.value);
        break;
      case "toolCallStart":
        calls.start(event.value);
        break;
      case "toolCallDelta":
        calls.push(event.value);
        break;
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
