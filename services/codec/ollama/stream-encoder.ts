import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ChatEvent, FinishEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { encodeCall, writeTime } from "./encode-response.ts";
import { toDoneReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";

const MOST_CALLS = 1024;

/** A call whose arguments are being put together: Ollama's clients get each call in one piece. */
interface OpenCall {
  readonly id: string;
  readonly name: string;
  argumentsJson: string;
}

/**
 * Encodes Ollama's stream. Calls are written when the answer ends. Writes no end when no finish was seen, so that a cut
 * answer cannot look complete.
 */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  let out = "";
  let model = "";
  let createTime: Timestamp | undefined;
  let finish: FinishEvent | undefined;
  const calls = new Map<number, OpenCall>();

  function write(message: JsonObject, rest: JsonObject): void {
    const head = { model, created_at: writeTime(createTime, options) };
    out += `${JSON.stringify({ ...head, message: { role: "assistant", content: "", ...message }, ...rest })}\n`;
  }

  function end(usage: Usage | undefined): void {
    if (finish === undefined) {
      return;
    }
    if (calls.size > 0) {
      write({ tool_calls: [...calls.values()].map(encodeCall) }, { done: false });
    }
    write({}, { done: true, done_reason: toDoneReason(finish.finishReason), ...encodeUsage(usage) });
  }

  function encodeEvent({ event }: ChatEvent): void {
    // Ollama's answers have one candidate; those of others are left out.
    if (event.value !== undefined && "candidateIndex" in event.value && event.value.candidateIndex !== 0) {
      return;
    }
    switch (event.case) {
      case "start":
        ({ model, createTime } = event.value);
        break;
      case "textDelta":
      case "refusalDelta":
        if (event.value.text !== "") {
          write({ content: event.value.text }, { done: false });
        }
        break;
      case "reasoningDelta":
        if (event.value.text !== "") {
          write({ thinking: event.value.text }, { done: false });
        }
        break;
      case "toolCallStart":
        if (calls.size >= MOST_CALLS) {
          throw new CodecError(`the answer has more than ${MOST_CALLS} tool calls`, { code: "array_above_max_length" });
        }
        calls.set(event.value.callIndex, { id: event.value.id, name: event.value.name, argumentsJson: "" });
        break;
      case "toolCallDelta": {
        const call = calls.get(event.value.callIndex);
        if (call !== undefined) {
          call.argumentsJson += event.value.argumentsJson;
        }
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
