import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Candidate,
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { message, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { isJsonArray, isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { CodecError, type Json, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { decodeInlineData } from "./decode-contents.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { readToolCallId } from "./tool-call-id.ts";

/**
 * Reads a complete answer. A prompt that was blocked gives an empty answer that a filter finished; a candidate without
 * parts is an empty answer. What Gemini's own tools did (code, searches) is left out. Throws CodecError for a body that
 * is no answer, ProviderStreamError for an error with status 200.
 */
export function decodeResponse(body: JsonObject): ChatResponse {
  checkError(body);
  const blockReason = readBlockReason(body);
  const sources = readCandidates(body);
  if (sources.length === 0 && blockReason === "") {
    throw new CodecError("the answer has no candidates", { param: "candidates", code: "invalid_response" });
  }
  const id = stringOrEmpty(body["responseId"]);
  const usage = decodeUsage(body["usageMetadata"]);
  const createTime = readCreateTime(body);
  return create(ChatResponseSchema, {
    id,
    model: stringOrEmpty(body["modelVersion"]),
    ...(createTime === undefined ? {} : { createTime }),
    candidates:
      sources.length === 0 ? [blockedCandidate(blockReason)] : sources.map((source) => decodeCandidate(source, id)),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of an answer that is forwarded as it is. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  const { candidates, usage } = decodeResponse(body);
  return { usage, finishReason: candidates[0]?.finishReason ?? FinishReason.UNSPECIFIED };
}

/** Throws ProviderStreamError when a body is an error, alone or as the first of an array. */
export function checkError(body: Json): void {
  const first = isJsonArray(body) ? body[0] : body;
  if (isJsonObject(first) && (first["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(body);
  }
}

/** Why the prompt was blocked; empty when it was not. */
export function readBlockReason(body: JsonObject): string {
  const feedback = body["promptFeedback"];
  return isJsonObject(feedback) ? stringOrEmpty(feedback["blockReason"]) : "";
}

/** The candidates of an answer or a chunk. */
export function readCandidates(body: JsonObject): readonly JsonObject[] {
  return (isJsonArray(body["candidates"]) ? body["candidates"] : []).filter(isJsonObject);
}

/** The parts of a candidate: none where it has no content, as when it was filtered or ran out of tokens in thought. */
export function readParts(candidate: JsonObject): readonly JsonObject[] {
  const { content } = candidate;
  const parts = isJsonObject(content) ? content["parts"] : undefined;
  return (isJsonArray(parts) ? parts : []).filter(isJsonObject);
}

/** The place of a candidate, which Gemini leaves out for the first. */
export function readIndex(candidate: JsonObject): number {
  const { index } = candidate;
  return typeof index === "number" && Number.isSafeInteger(index) && index >= 0 ? index : 0;
}

/** When the answer was made; only Vertex says. */
export function readCreateTime(body: JsonObject): Timestamp | undefined {
  const milliseconds = Date.parse(stringOrEmpty(body["createTime"]));
  return Number.isNaN(milliseconds) ? undefined : timestampFromDate(new Date(milliseconds));
}

/** The candidate's log probabilities as JSON text; empty when there are none. */
export function readLogprobs(candidate: JsonObject): string {
  return isJsonObject(candidate["logprobsResult"]) ? JSON.stringify(candidate["logprobsResult"]) : "";
}

function blockedCandidate(blockReason: string): Candidate {
  return create(CandidateSchema, {
    message: message(Role.ASSISTANT, []),
    finishReason: FinishReason.CONTENT_FILTER,
    nativeFinishReason: blockReason,
  });
}

function decodeCandidate(source: JsonObject, responseId: string): Candidate {
  const index = readIndex(source);
  const native = stringOrEmpty(source["finishReason"]);
  let callCount = 0;
  const parts: Part[] = [];
  for (const part of readParts(source)) {
    const call = part["functionCall"];
    if (isJsonObject(call)) {
      parts.push(decodeCall(call, part, readToolCallId(call, responseId, index, callCount)));
      callCount += 1;
    } else {
      parts.push(...decodePart(part));
    }
  }
  return create(CandidateSchema, {
    index,
    message: message(Role.ASSISTANT, joinTexts(parts)),
    finishReason: mapFinishReason(native, callCount > 0),
    nativeFinishReason: native,
    logprobsJson: readLogprobs(source),
  });
}

function decodeCall(call: JsonObject, part: JsonObject, id: string): Part {
  return toolCallPart({
    id,
    name: stringOrEmpty(call["name"]),
    argumentsJson: JSON.stringify(isJsonObject(call["args"]) ? call["args"] : {}),
    signature: stringOrEmpty(part["thoughtSignature"]),
  });
}

function decodePart(part: JsonObject): Part[] {
  const signature = stringOrEmpty(part["thoughtSignature"]);
  const text = stringOrEmpty(part["text"]);
  if (part["thought"] === true) {
    return text === "" && signature === "" ? [] : [reasoningPart({ text, signature })];
  }
  if (isJsonObject(part["inlineData"])) {
    return [decodeInlineData(part["inlineData"], "inlineData")];
  }
  return text === "" && signature === "" ? [] : [textPart(text, signature)];
}

/** Texts that follow one another are one text; a signature ends it, because it has to stay with its own part. */
function joinTexts(parts: readonly Part[]): Part[] {
  const joined: Part[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (last?.content.case === "text" && part.content.case === "text" && last.content.value.signature === "") {
      joined[joined.length - 1] = textPart(
        last.content.value.text + part.content.value.text,
        part.content.value.signature,
      );
    } else {
      joined.push(part);
    }
  }
  return joined;
}
