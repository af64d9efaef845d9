import type { Candidate, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import type { EncodeResponseOptions, Json, JsonObject } from "../codec.ts";
import { markForNextPart, markForPreviousPart, markRedacted } from "./encrypted-content.ts";
import { writeResponseEnd } from "./map-finish-reason.ts";
import {
  callItem,
  imageItem,
  kindOfCall,
  messageItem,
  outputRefusal,
  outputText,
  reasoningItem,
  type ResponseHead,
  writeItemId,
  writeLogprobs,
  writeResponse,
  writeResponseId,
} from "./output-items.ts";

/** Writes a complete response: the first candidate, since the dialect has one. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  const head: ResponseHead = {
    id: writeResponseId(response.id || options.fallbackId),
    createdAt: response.createTime === undefined ? options.fallbackCreated : Number(response.createTime.seconds),
    model: response.model,
  };
  const candidate = response.candidates.find(({ index }) => index === 0) ?? response.candidates[0];
  const end = writeResponseEnd(candidate?.finishReason ?? FinishReason.UNSPECIFIED);
  const output = encodeOutput(candidate, head.id);
  const last = output.at(-1);
  if (end.status !== "completed" && last !== undefined && "status" in last) {
    output[output.length - 1] = { ...last, status: "incomplete" };
  }
  return writeResponse(head, end, output, response.usage);
}

function encodeOutput(candidate: Candidate | undefined, responseId: string): JsonObject[] {
  const output: JsonObject[] = [];
  let logprobs = writeLogprobs(candidate?.logprobsJson ?? "");
  let content: Json[] = [];
  const closeMessage = (): void => {
    if (content.length > 0) {
      output.push(messageItem(writeItemId("msg", responseId, output.length), content, "completed"));
      content = [];
    }
  };
  const pushReasoning = (text: string, encryptedContent: string): void => {
    closeMessage();
    output.push(reasoningItem(writeItemId("rs", responseId, output.length), text, encryptedContent));
  };
  for (const part of candidate?.message?.parts ?? []) {
    const value = part.content;
    switch (value.case) {
      case "text":
        content.push(outputText(value.value.text, logprobs));
        // They are told for the whole answer, so they go where its text begins.
        logprobs = [];
        if (value.value.signature !== "") {
          pushReasoning("", markForPreviousPart(value.value.signature));
        }
        break;
      case "refusal":
        content.push(outputRefusal(value.value.text));
        break;
      case "reasoning": {
        const { text, signature, redactedData } = value.value;
        pushReasoning(text, redactedData === "" ? signature : markRedacted(redactedData));
        break;
      }
      case "toolCall": {
        const { signature, argumentsJson } = value.value;
        if (signature !== "") {
          pushReasoning("", markForNextPart(signature));
        }
        closeMessage();
        const call = { ...value.value, argumentsJson: argumentsJson || "{}" };
        output.push(callItem(writeItemId(kindOfCall(call.name), responseId, output.length), call, "completed"));
        break;
      }
      case "image":
        closeMessage();
        if (value.value.source.case === "data") {
          output.push(imageItem(writeItemId("ig", responseId, output.length), toBase64(value.value.source.value)));
        }
        break;
      default:
        // Responses have no place for other parts, and no provider's answers have them.
        break;
    }
  }
  closeMessage();
  return output;
}
