import { create } from "@bufbuild/protobuf";
import {
  type Candidate,
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  MessageSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { imagePart, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { decodeDataUrl } from "./decode-content.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { asArray, asEpochSeconds, asIndex, asObject, asString } from "../json/json-values.ts";
import { makeCallId } from "./make-call-id.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { readThoughts } from "./reasoning-details.ts";
import { refusalPart } from "./refusal-part.ts";
import { readThoughtSignature } from "./thought-signature.ts";

/** Reads a complete chat completion. Throws CodecError, or ProviderStreamError for an error with status 200. */
export function decodeResponse(body: JsonObject): ChatResponse {
  const choices = readChoices(body);
  const id = asString(body["id"]);
  const created = asEpochSeconds(body["created"]);
  const usage = readUsage(body);
  return create(ChatResponseSchema, {
    id,
    model: asString(body["model"]),
    candidates: choices.map((choice, position) => decodeCandidate(asObject(choice) ?? {}, position, id)),
    ...(created === undefined ? {} : { createTime: { seconds: created } }),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of a complete answer. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  const choices = readChoices(body);
  const first = choices.map(asObject).find((choice) => choice?.["index"] === 0) ?? asObject(choices[0]);
  return { usage: readUsage(body), finishReason: mapFinishReason(first?.["finish_reason"]) };
}

/** Reads the usage of an answer or a chunk, also where Groq puts it. */
export function readUsage(body: JsonObject): ReturnType<typeof mapUsage> {
  return mapUsage(body["usage"]) ?? mapUsage(asObject(body["x_groq"])?.["usage"]);
}

/** The error that an answer or a chunk carries in place of content; undefined when it carries none. */
export function readEmbeddedError(body: JsonObject): Json | undefined {
  const error = body["error"];
  const isError =
    (error !== undefined && error !== null && error !== "" && error !== false) ||
    body["object"] === "error" ||
    body["type"] === "error";
  return isError ? body : undefined;
}

function readChoices(body: JsonObject): readonly Json[] {
  const error = readEmbeddedError(body);
  if (error !== undefined) {
    throw new ProviderStreamError(error);
  }
  const choices = body["choices"];
  if (!isJsonArray(choices)) {
    throw new CodecError("the answer has no choices", { param: "choices", code: "missing_required_parameter" });
  }
  return choices;
}

function decodeCandidate(choice: JsonObject, position: number, responseId: string): Candidate {
  const message = asObject(choice["message"]) ?? {};
  const parts = decodeAnswerParts(message, responseId);
  const logprobs = choice["logprobs"];
  const native = asString(choice["finish_reason"]);
  return create(CandidateSchema, {
    index: asIndex(choice["index"]) ?? position,
    message: create(MessageSchema, { role: Role.ASSISTANT, parts }),
    finishReason: adjustFinishReason(
      mapFinishReason(native),
      parts.some((part) => part.content.case === "toolCall"),
    ),
    nativeFinishReason: native,
    logprobsJson: logprobs === undefined || logprobs === null ? "" : JSON.stringify(logprobs),
  });
}

/**
 * Says that tools are to be run where a call was made and the native reason is `stop`: OpenAI says so with a named
 * tool choice, and several servers always.
 */
export function adjustFinishReason(reason: FinishReason, hasToolCall: boolean): FinishReason {
  return reason === FinishReason.STOP && hasToolCall ? FinishReason.TOOL_CALLS : reason;
}

function decodeAnswerParts(message: JsonObject, responseId: string): Part[] {
  const parts: Part[] = readThoughts(message).map(reasoningPart);
  const signature = readThoughtSignature(message);
  for (const piece of readContentPieces(message["content"])) {
    parts.push(piece.isThought ? reasoningPart({ text: piece.text }) : textPart(piece.text, signature));
  }
  const refusal = asString(message["refusal"]);
  if (refusal !== "") {
    parts.push(refusalPart(refusal));
  }
  // OpenRouter's extension for models that draw.
  for (const image of asArray(message["images"])) {
    const url = asString(asObject(asObject(image)?.["image_url"])?.["url"]);
    const data = decodeDataUrl(url, "images");
    if (data !== undefined) {
      parts.push(imagePart({ case: "data", value: data.bytes }, data.mediaType));
    } else if (url !== "") {
      parts.push(imagePart({ case: "url", value: url }, ""));
    }
  }
  const calls = asArray(message["tool_calls"]);
  for (const [index, call] of calls.entries()) {
    parts.push(decodeToolCall(asObject(call) ?? {}, makeCallId(responseId, 0, index)));
  }
  const legacy = asObject(message["function_call"]);
  if (legacy !== undefined && calls.length === 0) {
    parts.push(decodeToolCall({ function: legacy }, makeCallId(responseId, 0, 0)));
  }
  return parts;
}

/** A piece of an answer's content. */
export interface ContentPiece {
  readonly isThought: boolean;
  readonly text: string;
}

/** Reads the content of an answer or a delta: a string, or Mistral's list of thinking and text. */
export function readContentPieces(content: Json | undefined): readonly ContentPiece[] {
  if (typeof content === "string") {
    return content === "" ? [] : [{ isThought: false, text: content }];
  }
  const pieces: ContentPiece[] = [];
  for (const entry of asArray(content)) {
    const part = asObject(entry);
    const isThought = part?.["type"] === "thinking";
    const text = isThought
      ? asArray(part["thinking"])
          .map((inner) => asString(asObject(inner)?.["text"]))
          .join("")
      : asString(part?.["text"]);
    if (text !== "") {
      pieces.push({ isThought, text });
    }
  }
  return pieces;
}

/** Reads the arguments of a call as JSON text: a string as it is, an object written out, nothing as nothing. */
export function readArguments(value: Json | undefined): string {
  if (typeof value === "string") {
    return value;
  }
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

function decodeToolCall(call: JsonObject, fallbackId: string): Part {
  const called = asObject(call["function"]) ?? {};
  return toolCallPart({
    id: asString(call["id"]) || fallbackId,
    name: asString(called["name"]),
    argumentsJson: readArguments(called["arguments"]).trim() || "{}",
    signature: readThoughtSignature(call),
  });
}
