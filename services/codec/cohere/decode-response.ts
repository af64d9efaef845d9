import { create } from "@bufbuild/protobuf";
import {
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { message, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";

/**
 * Reads a complete answer. The plan of a turn that calls tools becomes its text; citations are left out. The answer does
 * not name its model, so `model` is empty. Throws CodecError for a body that is no answer, ProviderStreamError for a
 * generation that failed with status 200.
 */
export function decodeResponse(body: JsonObject): ChatResponse {
  const answer = checkAnswer(body);
  const word = stringOrEmpty(body["finish_reason"]);
  const usage = decodeUsage(body["usage"]);
  return create(ChatResponseSchema, {
    id: stringOrEmpty(body["id"]),
    candidates: [
      create(CandidateSchema, {
        message: message(Role.ASSISTANT, decodeParts(answer)),
        finishReason: mapFinishReason(word),
        nativeFinishReason: word,
      }),
    ],
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of an answer that is forwarded as it is. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  checkAnswer(body);
  return {
    usage: decodeUsage(body["usage"]),
    finishReason: mapFinishReason(stringOrEmpty(body["finish_reason"])),
  };
}

/** The arguments of a call as Cohere writes them: none are an empty text, or `null`. */
export function normalizeArguments(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" || trimmed === "null" ? "{}" : text;
}

function checkAnswer(body: JsonObject): JsonObject {
  if (mapFinishReason(stringOrEmpty(body["finish_reason"])) === FinishReason.ERROR) {
    throw new ProviderStreamError(body);
  }
  const answer = body["message"];
  // An error has a text where an answer has its message.
  if (typeof answer === "string" || (body["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(body);
  }
  if (!isJsonObject(answer)) {
    throw new CodecError("the answer has no message", { param: "message", code: "invalid_response" });
  }
  return answer;
}

function decodeParts(answer: JsonObject): Part[] {
  const plan = stringOrEmpty(answer["tool_plan"]);
  return [
    ...asArray(answer["content"]).flatMap((block) => decodeBlock(asObject(block) ?? {})),
    ...(plan === "" ? [] : [textPart(plan)]),
    ...asArray(answer["tool_calls"]).map((call) => decodeCall(asObject(call) ?? {})),
  ];
}

function decodeBlock(block: JsonObject): Part[] {
  const text = stringOrEmpty(block["text"]);
  const thinking = stringOrEmpty(block["thinking"]);
  return [...(thinking === "" ? [] : [reasoningPart({ text: thinking })]), ...(text === "" ? [] : [textPart(text)])];
}

function decodeCall(call: JsonObject): Part {
  const called = asObject(call["function"]) ?? {};
  return toolCallPart({
    id: stringOrEmpty(call["id"]),
    name: stringOrEmpty(called["name"]),
    argumentsJson: normalizeArguments(stringOrEmpty(called["arguments"])),
  });
}
