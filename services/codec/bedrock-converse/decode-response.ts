import { create } from "@bufbuild/protobuf";
import {
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { isJsonArray, isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { unwrapRedacted } from "./redacted-content.ts";

/**
 * Reads a complete answer. It names neither itself nor its model. Calls of tools that Bedrock runs itself are left out,
 * with their results: they are not for the caller to answer; of citations the text stays. Throws CodecError for a body
 * that is no answer, ProviderStreamError for an error with status 200.
 */
export function decodeResponse(body: JsonObject): ChatResponse {
  const content = checkAnswer(body);
  const stopReason = stringOrEmpty(body["stopReason"]);
  const usage = decodeUsage(body["usage"]);
  return create(ChatResponseSchema, {
    candidates: [
      create(CandidateSchema, {
        message: message(Role.ASSISTANT, content.flatMap(decodeBlock)),
        finishReason: mapStopReason(stopReason),
        nativeFinishReason: stopReason,
        stopSequence: readStopSequence(body),
      }),
    ],
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of an answer that is forwarded as it is. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  checkAnswer(body);
  return { usage: decodeUsage(body["usage"]), finishReason: mapStopReason(stringOrEmpty(body["stopReason"])) };
}

/** The sequence that ended the answer, which is there only when it was asked for. */
export function readStopSequence(holder: JsonObject): string {
  return stringOrEmpty(asObject(holder["additionalModelResponseFields"])?.["stop_sequence"]);
}

/** Whether a call or result is one of the tools that Bedrock runs itself. */
export function isServerTool(block: JsonObject): boolean {
  const type = stringOrEmpty(block["type"]);
  return type !== "" && type !== "tool_use";
}

/** The text of cited content. */
export function citedText(block: JsonObject): string {
  return asArray(block["content"])
    .map((piece) => stringOrEmpty(asObject(piece)?.["text"]))
    .join("");
}

function checkAnswer(body: JsonObject): readonly JsonObject[] {
  const content = asObject(asObject(body["output"])?.["message"])?.["content"];
  if (!isJsonArray(content)) {
    const isError = body["Output"] !== undefined || body["message"] !== undefined || body["__type"] !== undefined;
    throw isError
      ? new ProviderStreamError(body)
      : new CodecError("the answer has no message", { param: "output.message", code: "invalid_response" });
  }
  return content.filter(isJsonObject);
}

function decodeBlock(block: JsonObject): Part[] {
  const text = stringOrEmpty(block["text"]) || citedText(asObject(block["citationsContent"]) ?? {});
  if (text !== "") {
    return [textPart(text)];
  }
  const call = asObject(block["toolUse"]);
  if (call !== undefined) {
    return isServerTool(call) ? [] : [decodeCall(call)];
  }
  const thought = asObject(block["reasoningContent"]);
  return thought === undefined ? [] : decodeThought(thought);
}

function decodeCall(call: JsonObject): Part {
  return toolCallPart({
    id: stringOrEmpty(call["toolUseId"]),
    name: stringOrEmpty(call["name"]),
    argumentsJson: JSON.stringify(asObject(call["input"]) ?? {}),
  });
}

function decodeThought(thought: JsonObject): Part[] {
  const redacted = stringOrEmpty(thought["redactedContent"]);
  if (redacted !== "") {
    return [reasoningPart({ redactedData: unwrapRedacted(redacted) })];
  }
  const { text, signature } = asObject(thought["reasoningText"]) ?? {};
  return [reasoningPart({ text: stringOrEmpty(text), signature: stringOrEmpty(signature) })];
}
