import { create } from "@bufbuild/protobuf";
import {
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { message, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { isJsonArray, isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";

/**
 * Reads a complete answer. Blocks of tools that Anthropic runs itself are left out: they are not calls for the caller
 * to answer. Throws CodecError for a body that is no message, ProviderStreamError for an error with status 200.
 */
export function decodeResponse(body: JsonObject): ChatResponse {
  const content = checkMessage(body);
  const stopReason = stringOrEmpty(body["stop_reason"]);
  const usage = decodeUsage(body["usage"]);
  return create(ChatResponseSchema, {
    id: stringOrEmpty(body["id"]),
    model: stringOrEmpty(body["model"]),
    candidates: [
      create(CandidateSchema, {
        message: message(Role.ASSISTANT, content.flatMap(decodeBlock)),
        finishReason: mapStopReason(stopReason),
        nativeFinishReason: stopReason,
        stopSequence: stringOrEmpty(body["stop_sequence"]),
      }),
    ],
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of an answer that is forwarded as it is. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  checkMessage(body);
  return { usage: decodeUsage(body["usage"]), finishReason: mapStopReason(stringOrEmpty(body["stop_reason"])) };
}

function checkMessage(body: JsonObject): readonly JsonObject[] {
  if (body["type"] === "error" || isJsonObject(body["error"])) {
    throw new ProviderStreamError(body);
  }
  const content = body["content"];
  if (!isJsonArray(content)) {
    throw new CodecError("the answer has no content", { param: "content", code: "invalid_response" });
  }
  return content.filter(isJsonObject);
}

function decodeBlock(block: JsonObject): Part[] {
  switch (block["type"]) {
    case "text":
      return [textPart(stringOrEmpty(block["text"]))];
    case "thinking":
      return [reasoningPart({ text: stringOrEmpty(block["thinking"]), signature: stringOrEmpty(block["signature"]) })];
    case "redacted_thinking":
      return [reasoningPart({ redactedData: stringOrEmpty(block["data"]) })];
    case "tool_use":
      return [
        toolCallPart({
          id: stringOrEmpty(block["id"]),
          name: stringOrEmpty(block["name"]),
          argumentsJson: JSON.stringify(isJsonObject(block["input"]) ? block["input"] : {}),
        }),
      ];
    default:
      return [];
  }
}
