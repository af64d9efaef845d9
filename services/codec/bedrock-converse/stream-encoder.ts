import type { ChatEvent, FinishEvent, ReasoningDelta, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { stopSequenceFields } from "./encode-response.ts";
import { writeFrame } from "./event-frames.ts";
import { toStopReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { wrapRedacted } from "./redacted-content.ts";

const MOST_CALLS = 1024;

/**
 * Encodes a ConverseStream. Texts and thoughts are blocks, one after the other; calls stay open until the answer ends,
 * since parallel ones may take turns. Writes no end when no finish was seen, so that a cut answer cannot look complete.
 */
export function createStreamEncoder(_options: EncodeResponseOptions): StreamEncoder {
  let frames: Uint8Array[] = [];
  let started = false;
  let openKind: "text" | "thought" | undefined;
  let blockCount = 0;
  let finish: FinishEvent | undefined;
  /** The block of each call. */
  const calls = new Map<number, number>();

  function write(type: string, body: JsonObject): void {
    frames.push(writeFrame(type, JSON.stringify(body)));
  }

  function start(): void {
    if (!started) {
      started = true;
      write("messageStart", { role: "assistant" });
    }
  }

  function closeBlock(): void {
    if (openKind !== undefined) {
      openKind = undefined;
      write("contentBlockStop", { contentBlockIndex: blockCount - 1 });
    }
  }

  function writeDelta(kind: "text" | "thought", delta: JsonObject): void {
    if (openKind !== kind) {
      closeBlock();
      start();
      openKind = kind;
      blockCount += 1;
    }
    write("contentBlockDelta", { contentBlockIndex: blockCount - 1, delta });
  }

  function writeThought({ text, signature, redactedData }: ReasoningDelta): void {
    if (redactedData !== "") {
      closeBlock();
      writeDelta("thought", { reasoningContent: { redactedContent: wrapRedacted(redactedData) } });
      closeBlock();
      return;
    }
    if (text !== "") {
      writeDelta("thought", { reasoningContent: { text } });
    }
    if (signature !== "") {
      writeDelta("thought", { reasoningContent: { signature } });
      closeBlock();
    }
  }

  function startCall({ callIndex, id, name }: ToolCallStart): void {
    if (calls.size >= MOST_CALLS) {
      throw new CodecError(`the answer has more than ${MOST_CALLS} tool calls`, { code: "array_above_max_length" });
    }
    closeBlock();
    start();
    calls.set(callIndex, blockCount);
    write("contentBlockStart", { contentBlockIndex: blockCount, start: { toolUse: { toolUseId: id, name } } });
    blockCount += 1;
  }

  function end(usage: Usage | undefined): void {
    closeBlock();
    if (finish === undefined) {
      return;
    }
    start();
    for (const contentBlockIndex of calls.values()) {
      write("contentBlockStop", { contentBlockIndex });
    }
    write("messageStop", { stopReason: toStopReason(finish), ...stopSequenceFields(finish.stopSequence) });
    write("metadata", { usage: encodeUsage(usage), metrics: { latencyMs: 0 } });
  }

  function encodeEvent({ event }: ChatEvent): void {
    // Converse's answers have one candidate; those of others are left out.
    if (event.value !== undefined && "candidateIndex" in event.value && event.value.candidateIndex !== 0) {
      return;
    }
    switch (event.case) {
      case "start":
        start();
        break;
      case "textDelta":
      case "refusalDelta":
        if (event.value.text !== "") {
          writeDelta("text", { text: event.value.text });
        }
        break;
      case "reasoningDelta":
        writeThought(event.value);
        break;
      case "toolCallStart":
        startCall(event.value);
        break;
      case "toolCallDelta":
        write("contentBlockDelta", {
          contentBlockIndex: calls.get(event.value.callIndex) ?? blockCount,
          delta: { toolUse: { input: event.value.argumentsJson } },
        });
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
      frames = [];
      for (const event of events) {
        encodeEvent(event);
      }
      return Buffer.concat(frames);
    },
  };
}
