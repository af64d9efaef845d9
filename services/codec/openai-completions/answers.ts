import type { ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EncodeResponseOptions, JsonObject } from "../codec.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { decodeResponse as decodeChatResponse } from "../openai-chat/decode-response.ts";
import { writeFinishReason } from "../openai-chat/map-finish-reason.ts";
import { writeUsage } from "../openai-chat/map-usage.ts";

/** Reads a complete answer. Throws CodecError, or ProviderStreamError for an error with status 200. */
export function decodeResponse(body: JsonObject): ChatResponse {
  const { choices } = body;
  return decodeChatResponse(
    Array.isArray(choices) ? { ...body, choices: asArray(choices).map((choice) => asMessage(asObject(choice))) } : body,
  );
}

/** The choice of a chat completion that says the same. */
function asMessage(choice: JsonObject = {}): JsonObject {
  // Probabilities have another form here.
  return { ...choice, logprobs: null, message: { role: "assistant", content: choice["text"] ?? null } };
}

/** Writes a complete answer: the texts of its candidates. Thoughts and calls have no place in it. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  return {
    id: response.id || options.fallbackId,
    object: "text_completion",
    created: response.createTime === undefined ? options.fallbackCreated : Number(response.createTime.seconds),
    model: response.model,
    choices: response.candidates.map((candidate) => ({
      text: (candidate.message?.parts ?? [])
        .map(({ content }) => (content.case === "text" || content.case === "refusal" ? content.value.text : ""))
        .join(""),
      index: candidate.index,
      logprobs: null,
      finish_reason: writeFinishReason(candidate.finishReason),
    })),
    ...(response.usage === undefined ? {} : { usage: writeUsage(response.usage) }),
  };
}
