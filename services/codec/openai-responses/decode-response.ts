import { create } from "@bufbuild/protobuf";
import {
  CandidateSchema,
  type ChatResponse,
  ChatResponseSchema,
  MessageSchema,
  type Part,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { fromBase64, imagePart, reasoningPart, textPart, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject, ProviderStreamError, type ResponseFacts } from "../codec.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { asArray, asEpochSeconds, asObject, asString } from "../json/json-values.ts";
import { makeCallId } from "../openai-chat/make-call-id.ts";
import { refusalPart } from "../openai-chat/refusal-part.ts";
import { findEmbeddedError } from "./decode-error.ts";
import { readThought } from "./decode-input.ts";
import { type ResponseEnd, readResponseEnd } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { readLogprobs } from "./output-items.ts";

/** Reads a complete response. Throws CodecError, or ProviderStreamError for a failed one with status 200. */
export function decodeResponse(body: JsonObject): ChatResponse {
  const output = readOutput(body);
  const id = asString(body["id"]);
  const created = asEpochSeconds(body["created_at"]);
  const usage = mapUsage(body["usage"]);
  const { finishReason, native } = readEnd(body);
  const logprobs = output.flatMap(listLogprobs);
  return create(ChatResponseSchema, {
    id,
    model: asString(body["model"]),
    candidates: [
      create(CandidateSchema, {
        message: create(MessageSchema, { role: Role.ASSISTANT, parts: decodeOutput(output, id) }),
        finishReason,
        nativeFinishReason: native,
        logprobsJson: readLogprobs(logprobs),
      }),
    ],
    ...(created === undefined ? {} : { createTime: { seconds: created } }),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Reads usage and finish of a complete response. Throws as `decodeResponse`. */
export function readResponse(body: JsonObject): ResponseFacts {
  readOutput(body);
  return { usage: mapUsage(body["usage"]), finishReason: readEnd(body).finishReason };
}

/** The input of a custom tool, which is plain text, as the arguments of a function. */
function writeCustomArguments(input: string): string {
  return JSON.stringify({ input });
}

function readOutput(body: JsonObject): readonly Json[] {
  const error = findEmbeddedError(body);
  if (error !== undefined) {
    throw new ProviderStreamError(error);
  }
  const { output } = body;
  if (!isJsonArray(output)) {
    throw new CodecError("the answer has no output", { param: "output", code: "missing_required_parameter" });
  }
  return output;
}

function readEnd(body: JsonObject): ResponseEnd {
  const status = asString(body["status"]);
  if (status === "queued" || status === "in_progress") {
    throw new CodecError("the answer is not complete", { param: "status", code: "invalid_value" });
  }
  // Some servers leave the status out of what is complete.
  return readResponseEnd(status === "" ? { ...body, status: "completed" } : body);
}

function decodeOutput(output: readonly Json[], responseId: string): Part[] {
  let calls = 0;
  return output.flatMap((value) => {
    const item = asObject(value) ?? {};
    switch (item["type"]) {
      case "message":
        return asArray(item["content"]).flatMap(decodeContentPart);
      case "reasoning": {
        const thought = { text: readThought(item), signature: asString(item["encrypted_content"]) };
        return thought.text === "" && thought.signature === "" ? [] : [reasoningPart(thought)];
      }
      case "function_call":
        return [decodeCall(item, asString(item["arguments"]).trim() || "{}", makeCallId(responseId, 0, calls++))];
      case "custom_tool_call":
        return [decodeCall(item, writeCustomArguments(asString(item["input"])), makeCallId(responseId, 0, calls++))];
      case "image_generation_call": {
        const data = asString(item["result"]);
        return data === "" ? [] : [imagePart({ case: "data", value: fromBase64(data) }, mediaTypeOf(item))];
      }
      default:
        // What the provider's own tools did is not for the caller to answer.
        return [];
    }
  });
}

function decodeContentPart(value: Json): Part[] {
  const part = asObject(value);
  switch (part?.["type"]) {
    case "output_text":
      return asString(part["text"]) === "" ? [] : [textPart(asString(part["text"]))];
    case "refusal":
      return [refusalPart(asString(part["refusal"]))];
    default:
      return [];
  }
}

function decodeCall(item: JsonObject, argumentsJson: string, fallbackId: string): Part {
  return toolCallPart({ id: asString(item["call_id"]) || fallbackId, name: asString(item["name"]), argumentsJson });
}

function mediaTypeOf(item: JsonObject): string {
  return `image/${asString(item["output_format"]) || "png"}`;
}

function listLogprobs(value: Json): readonly Json[] {
  return asArray(asObject(value)?.["content"]).flatMap((part) => asArray(asObject(part)?.["logprobs"]));
}
