import type { Candidate, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject } from "../codec.ts";
import { toCohereFinish } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";

/** Writes a complete answer. Only the first candidate: Cohere's answers have one. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  const candidate = response.candidates[0];
  return {
    id: response.id === "" ? options.fallbackId : response.id,
    message: { role: "assistant", ...(candidate === undefined ? { content: [] } : encodeParts(candidate)) },
    finish_reason: candidate === undefined ? "COMPLETE" : toCohereFinish(candidate),
    usage: encodeUsage(response.usage),
  };
}

function encodeParts(candidate: Candidate): JsonObject {
  const content: JsonObject[] = [];
  const calls: JsonObject[] = [];
  for (const part of candidate.message?.parts ?? []) {
    switch (part.content.case) {
      case "text":
      case "refusal":
        content.push({ type: "text", text: part.content.value.text });
        break;
      case "reasoning":
        if (part.content.value.text !== "") {
          content.push({ type: "thinking", thinking: part.content.value.text });
        }
        break;
      case "toolCall": {
        const { id, name, argumentsJson } = part.content.value;
        calls.push({ id, type: "function", function: { name, arguments: argumentsJson } });
        break;
      }
      case undefined:
        break;
      default:
        throw new CodecError(
          `an answer with a part of the kind ${part.content.case} cannot be written for Cohere's clients`,
          { code: "unsupported_feature" },
        );
    }
  }
  return {
    ...(content.length === 0 && calls.length > 0 ? {} : { content }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}
