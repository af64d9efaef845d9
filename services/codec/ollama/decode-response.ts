import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { stringOrEmpty } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { mapDoneReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { makeToolCallId } from "./tool-call-id.ts";

/** One call of an answer. */
export interface AnsweredCall {
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
}

/** Reads a complete answer. Throws CodecError for a body that is none, ProviderStreamError for an error with status 200. */
export function decodeResponse(body: JsonObject): ChatResponse {
  const answer = checkAnswer(body);
  const calls = readCalls(answer, stringOrEmpty(body["created_at"]), 0);
  const word = stringOrEmpty(body["done_reason"]);
  const usage = decodeUsage(body);
  const createTime = readTime(body);
  const thinking = stringOrEmpty(answer["thinking"]);
  const text = stringOrEmpty(answer["content"]);
  const parts: Part[] = [
    ...(thinking === "" ? [] : [reasoningPart({ text: thinking })]),
    ...(text === "" ? [] : [textPart(text)]),
    ...calls.map(toolCallPart),
  ];
  return create(ChatResponseSchema, {
    model: stringOrEmpty(body["model"]),
    candidates: [
      create(CandidateSchema, {
        message: message(Role.ASSISTANT, parts),
        finishReason: mapDoneReason(word, calls.length > 0),
        nativeFinishReason: word,
      }),
    ],
    ...(createTime === undefined ? {} : { createTime }),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of an answer that is forwarded as it is. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  const answer = checkAnswer(body);
  const hasCalls = asArray(answer["tool_calls"]).length > 0;
  return { usage: decodeUsage(body), finishReason: mapDoneReason(stringOrEmpty(body["done_reason"]), hasCalls) };
}

/** The calls of an answer or a piece of one, `before` of which came in earlier pieces. Ollama sends each in one piece. */
export function readCalls(answer: JsonObject, createdAt: string, before: number): readonly AnsweredCall[] {
  return asArray(answer["tool_calls"]).map((value, index) => {
    const call = asObject(value) ?? {};
    const called = asObject(call["function"]) ?? {};
    return {
      id: stringOrEmpty(call["id"]) || makeToolCallId(createdAt, before + index),
      name: stringOrEmpty(called["name"]),
      argumentsJson: JSON.stringify(asObject(called["arguments"]) ?? {}),
    };
  });
}

/** When an answer was made; undefined where it does not say. */
export function readTime(body: JsonObject): Timestamp | undefined {
  const ms = Date.parse(stringOrEmpty(body["created_at"]));
  return Number.isFinite(ms) && ms > 0 ? timestampFromMs(ms) : undefined;
}

function checkAnswer(body: JsonObject): JsonObject {
  if ((body["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(body);
  }
  const answer = asObject(body["message"]);
  if (answer === undefined) {
    throw new CodecError("the answer has no message", { param: "message", code: "invalid_response" });
  }
  // A whole answer that is not done was cut.
  if (body["done"] === false) {
    throw new CodecError("the answer is not done", { param: "done", code: "invalid_response" });
  }
  return answer;
}
