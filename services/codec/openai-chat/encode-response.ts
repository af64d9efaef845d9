import type { Candidate, ChatResponse, Message, ReasoningPart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EncodeResponseOptions, Json, JsonObject } from "../codec.ts";
import { encodeImage } from "./encode-content.ts";
import { writeToolCall } from "./encode-messages.ts";
import { writeFinishReason } from "./map-finish-reason.ts";
import { writeUsage } from "./map-usage.ts";
import { writeThoughts } from "./reasoning-details.ts";
import { writeThoughtSignature } from "./thought-signature.ts";

/** Writes a complete chat completion. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  return {
    id: response.id || options.fallbackId,
    object: "chat.completion",
    created: response.createTime === undefined ? options.fallbackCreated : Number(response.createTime.seconds),
    model: response.model,
    choices: response.candidates.map(encodeChoice),
    ...(response.usage === undefined ? {} : { usage: writeUsage(response.usage) }),
  };
}

function encodeChoice(candidate: Candidate): JsonObject {
  return {
    index: candidate.index,
    message: encodeAnswer(candidate.message),
    logprobs: candidate.logprobsJson === "" ? null : readLogprobs(candidate.logprobsJson),
    finish_reason: writeFinishReason(candidate.finishReason),
  };
}

function encodeAnswer(message: Message | undefined): JsonObject {
  const thoughts: ReasoningPart[] = [];
  const calls: Json[] = [];
  const images: Json[] = [];
  let text: string | null = null;
  let refusal: string | null = null;
  let signature = "";
  for (const { content } of message?.parts ?? []) {
    switch (content.case) {
      case "text":
        text = (text ?? "") + content.value.text;
        signature = content.value.signature || signature;
        break;
      case "refusal":
        refusal = (refusal ?? "") + content.value.text;
        break;
      case "reasoning":
        thoughts.push(content.value);
        break;
      case "toolCall":
        calls.push(writeToolCall(content.value, true));
        break;
      case "image":
        images.push(encodeImage(content.value));
        break;
      default:
        // OpenAI's answers have no place for other parts, and no provider's answers have them.
        break;
    }
  }
  return {
    role: "assistant",
    content: text ?? (calls.length > 0 || refusal !== null ? null : ""),
    refusal,
    ...writeThoughts(thoughts),
    ...writeThoughtSignature(signature),
    ...(images.length === 0 ? {} : { images }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function readLogprobs(text: string): Json {
  // Codecs write this field with JSON.stringify, so it parses to a JSON value.
  return JSON.parse(text) as Json;
}
