import type { Candidate, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject } from "../codec.ts";
import { parseJsonObject } from "../json/json-fields.ts";
import { toStopReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { wrapRedacted } from "./redacted-content.ts";

/** Writes a complete answer. Only the first candidate: Converse's answers have one. They have no id either. */
export function encodeResponse(response: ChatResponse, _options: EncodeResponseOptions): JsonObject {
  const candidate = response.candidates[0];
  return {
    output: { message: { role: "assistant", content: candidate === undefined ? [] : encodeParts(candidate) } },
    stopReason: candidate === undefined ? "end_turn" : toStopReason(candidate),
    ...stopSequenceFields(candidate?.stopSequence ?? ""),
    usage: encodeUsage(response.usage),
    metrics: { latencyMs: 0 },
  };
}

/** The sequence that ended the answer, as fields to spread; nothing when none did. */
export function stopSequenceFields(stopSequence: string): JsonObject {
  return stopSequence === "" ? {} : { additionalModelResponseFields: { stop_sequence: stopSequence } };
}

function encodeParts(candidate: Candidate): JsonObject[] {
  return (candidate.message?.parts ?? []).flatMap(({ content }): JsonObject[] => {
    switch (content.case) {
      case "text":
      case "refusal":
        return [{ text: content.value.text }];
      case "reasoning": {
        const { text, signature, redactedData } = content.value;
        return redactedData === ""
          ? [{ reasoningContent: { reasoningText: { text, ...(signature === "" ? {} : { signature }) } } }]
          : [{ reasoningContent: { redactedContent: wrapRedacted(redactedData) } }];
      }
      case "toolCall": {
        const { id, name, argumentsJson } = content.value;
        return [{ toolUse: { toolUseId: id, name, input: parseJsonObject(argumentsJson, "arguments") } }];
      }
      case undefined:
        return [];
      default:
        throw new CodecError(`an answer with a part of the kind ${content.case} cannot be written for Converse`, {
          code: "unsupported_feature",
        });
    }
  });
}
