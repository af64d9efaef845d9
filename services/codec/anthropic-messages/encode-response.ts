import type { Candidate, ChatResponse, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject } from "../codec.ts";
import { isJsonObject, parseJson } from "../json/json-fields.ts";
import { toStopReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { markForNextPart, markForPreviousPart } from "./part-signature.ts";

/** Writes a complete answer. Only the first candidate: Anthropic's answers have one. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  const candidate = response.candidates[0];
  return {
    id: response.id === "" ? options.fallbackId : response.id,
    type: "message",
    role: "assistant",
    model: response.model,
    content: candidate === undefined ? [] : encodeContent(candidate),
    stop_reason: candidate === undefined ? null : toStopReason(candidate),
    stop_sequence: candidate === undefined || candidate.stopSequence === "" ? null : candidate.stopSequence,
    usage: encodeUsage(response.usage),
  };
}

function encodeContent(candidate: Candidate): JsonObject[] {
  const parts = candidate.message?.parts ?? [];
  return parts.flatMap((part) => encodePart(part, candidate.finishReason));
}

function encodePart(part: Part, finishReason: FinishReason): JsonObject[] {
  const { content } = part;
  switch (content.case) {
    case "text": {
      const { text, signature } = content.value;
      return [
        ...(text === "" ? [] : [{ type: "text", text }]),
        ...(signature === "" ? [] : [{ type: "thinking", thinking: "", signature: markForPreviousPart(signature) }]),
      ];
    }
    case "refusal":
      return content.value.text === "" ? [] : [{ type: "text", text: content.value.text }];
    case "reasoning": {
      const { text, signature, redactedData } = content.value;
      return redactedData === ""
        ? [{ type: "thinking", thinking: text, signature }]
        : [{ type: "redacted_thinking", data: redactedData }];
    }
    case "toolCall": {
      const { id, name, signature, argumentsJson } = content.value;
      const input = readInput(argumentsJson, finishReason);
      if (input === undefined) {
        return [];
      }
      return [
        ...(signature === "" ? [] : [{ type: "thinking", thinking: "", signature: markForNextPart(signature) }]),
        { type: "tool_use", id, name, input },
      ];
    }
    case undefined:
      return [];
    default:
      throw new CodecError(
        `an answer with a part of the kind ${content.case} cannot be written for Anthropic's clients`,
        {
          code: "unsupported_feature",
        },
      );
  }
}

/** The arguments as an object; undefined for a call that the output limit cut, which nobody could run. */
function readInput(argumentsJson: string, finishReason: FinishReason): JsonObject | undefined {
  try {
    const input = parseJson(argumentsJson.trim() === "" ? "{}" : argumentsJson, "tool_calls.function.arguments");
    return isJsonObject(input) ? input : { value: input };
  } catch (error) {
    if (finishReason === FinishReason.LENGTH) {
      return undefined;
    }
    throw error;
  }
}
