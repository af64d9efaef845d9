import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Candidate, ChatResponse, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { isJsonObject, parseJson } from "../json/json-fields.ts";
import type { EncodeResponseOptions, JsonObject } from "../codec.ts";
import { toFinishReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";

/** Writes a complete answer. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  return {
    candidates: response.candidates.map(encodeCandidate),
    ...encodeUsage(response.usage),
    modelVersion: response.model,
    ...encodeCreateTime(response.createTime),
    responseId: response.id === "" ? options.fallbackId : response.id,
  };
}

/** Writes when an answer was made, as a field to spread into it; nothing when nobody said. */
export function encodeCreateTime(createTime: Timestamp | undefined): JsonObject {
  const date = createTime === undefined ? undefined : timestampDate(createTime);
  // A provider may have given a time that is none.
  return date === undefined || Number.isNaN(date.getTime()) ? {} : { createTime: date.toISOString() };
}

/**
 * Writes a call as a part; undefined for one that the output limit cut, which nobody could run. Throws CodecError
 * (`invalid_json`) for any other call whose arguments are not JSON.
 */
export function encodeCallPart(
  call: { readonly id: string; readonly name: string; readonly signature: string; readonly argumentsJson: string },
  finishReason: FinishReason,
): JsonObject | undefined {
  const { id, name, signature, argumentsJson } = call;
  try {
    const args = parseJson(argumentsJson.trim() === "" ? "{}" : argumentsJson, "tool_calls.function.arguments");
    return {
      functionCall: { id, name, args: isJsonObject(args) ? args : { value: args } },
      ...(signature === "" ? {} : { thoughtSignature: signature }),
    };
  } catch (error) {
    if (finishReason === FinishReason.LENGTH) {
      return undefined;
    }
    throw error;
  }
}

function encodeCandidate(candidate: Candidate): JsonObject {
  const finishReason = toFinishReason(candidate.finishReason, candidate.nativeFinishReason);
  const parts = (candidate.message?.parts ?? []).flatMap((part) => encodePart(part, candidate.finishReason));
  const logprobs = parseLogprobs(candidate.logprobsJson);
  return {
    content: { ...(parts.length === 0 ? {} : { parts }), role: "model" },
    ...(finishReason === undefined ? {} : { finishReason }),
    index: candidate.index,
    ...(logprobs === undefined ? {} : { logprobsResult: logprobs }),
  };
}

/** Log probabilities travel in their provider's own form; only Gemini's can be given to Gemini's clients. */
function parseLogprobs(text: string): JsonObject | undefined {
  const logprobs = text === "" ? undefined : parseJson(text, "logprobs");
  return isJsonObject(logprobs) && logprobs["chosenCandidates"] !== undefined ? logprobs : undefined;
}

function encodePart(part: Part, finishReason: FinishReason): JsonObject[] {
  const { content } = part;
  switch (content.case) {
    case "text": {
      const { text, signature } = content.value;
      return [{ text, ...(signature === "" ? {} : { thoughtSignature: signature }) }];
    }
    case "refusal":
      return [{ text: content.value.text }];
    case "reasoning": {
      const { text, signature } = content.value;
      return text === "" && signature === ""
        ? []
        : [{ text, thought: true, ...(signature === "" ? {} : { thoughtSignature: signature }) }];
    }
    case "toolCall": {
      const call = encodeCallPart(content.value, finishReason);
      return call === undefined ? [] : [call];
    }
    case "image":
      return content.value.source.case === "data"
        ? [{ inlineData: { mimeType: content.value.mediaType, data: toBase64(content.value.source.value) } }]
        : [];
    case "audio":
      return [{ inlineData: { mimeType: content.value.mediaType, data: toBase64(content.value.data) } }];
    default:
      return [];
  }
}
