import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Reasoning,
  type ResponseFormat,
  ResponseFormat_Kind,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, textPart } from "../chat/chat-parts.ts";
import type { JsonObject } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";
import { asArray, asBoolean, asNumber, asObject, asString } from "../json/json-values.ts";
import { decodeInput } from "./decode-input.ts";
import { decodeTools } from "./decode-tools.ts";
import { validateOpenAiResponsesRequest } from "./validate-request.ts";

const LOGPROBS = "message.output_text.logprobs";

// What lives at the provider: without it the model would answer to something else.
const STATEFUL_FIELDS = ["previous_response_id", "conversation", "prompt"];

/**
 * Reads a request for a response. Throws CodecError: with OpenAI's code and the path of the parameter for what OpenAI
 * would refuse, with `unsupported_feature` for what no other dialect can express and the answer depends on. What the
 * answer does not depend on is left out and added to `dropped`.
 */
export function decodeRequest(body: JsonObject, dropped = new Set<string>()): ChatRequest {
  validateOpenAiResponsesRequest(body);
  for (const field of STATEFUL_FIELDS) {
    if (body[field] !== undefined && body[field] !== null) {
      throw unsupported(field, "cannot be used with this model: its provider stores no responses");
    }
  }
  if (body["background"] === true) {
    throw unsupported("background", "must not be true with this model");
  }
  const instructions = asString(body["instructions"]);
  const input = decodeInput(body["input"]);
  const tools = decodeTools(body, dropped);
  const request = create(ChatRequestSchema, {
    model: asString(body["model"]),
    messages: instructions === "" ? input : [message(Role.SYSTEM, [textPart(instructions)]), ...input],
    tools: tools.tools,
    endUserId: asString(body["safety_identifier"]) || asString(body["user"]),
    metadata: decodeMetadata(body),
    serviceTier: asString(body["service_tier"]),
  });
  if (tools.choice !== undefined) {
    request.toolChoice = tools.choice;
  }
  const parallel = asBoolean(body["parallel_tool_calls"]);
  if (parallel !== undefined) {
    request.parallelToolCalls = parallel;
  }
  decodeNumbers(body, request);
  if ((asObject(body["text"])?.["verbosity"] ?? null) !== null) {
    dropped.add("text.verbosity");
  }
  if ((body["max_tool_calls"] ?? null) !== null) {
    dropped.add("max_tool_calls");
  }
  const format = decodeFormat(asObject(asObject(body["text"])?.["format"]));
  if (format !== undefined) {
    request.responseFormat = format;
  }
  const reasoning = decodeReasoning(asObject(body["reasoning"]));
  if (reasoning !== undefined) {
    request.reasoning = reasoning;
  }
  return request;
}

function decodeNumbers(body: JsonObject, request: ChatRequest): void {
  const limit = asNumber(body["max_output_tokens"]);
  if (limit !== undefined) {
    request.maxOutputTokens = BigInt(limit);
  }
  const temperature = asNumber(body["temperature"]);
  if (temperature !== undefined) {
    request.temperature = temperature;
  }
  const topP = asNumber(body["top_p"]);
  if (topP !== undefined) {
    request.topP = topP;
  }
  if (asArray(body["include"]).includes(LOGPROBS)) {
    request.logprobs = true;
    const topLogprobs = asNumber(body["top_logprobs"]);
    if (topLogprobs !== undefined) {
      request.topLogprobs = topLogprobs;
    }
  }
}

function decodeFormat(format: JsonObject | undefined): ResponseFormat | undefined {
  const base = { $typeName: "penstock.chat.v1.ResponseFormat", name: "", description: "", schemaJson: "" } as const;
  switch (format?.["type"]) {
    case "text":
      return { ...base, kind: ResponseFormat_Kind.TEXT };
    case "json_object":
      return { ...base, kind: ResponseFormat_Kind.JSON_OBJECT };
    case "json_schema": {
      const strict = asBoolean(format["strict"]);
      return {
        ...base,
        kind: ResponseFormat_Kind.JSON_SCHEMA,
        name: asString(format["name"]),
        description: asString(format["description"]),
        schemaJson: JSON.stringify(format["schema"] ?? {}),
        ...(strict === undefined ? {} : { strict }),
      };
    }
    default:
      return undefined;
  }
}

function decodeReasoning(reasoning: JsonObject | undefined): Reasoning | undefined {
  const effort = asString(reasoning?.["effort"]);
  // Whoever wants a summary wants to see thoughts; the older name of the field means the same.
  const isShown = (asString(reasoning?.["summary"]) || asString(reasoning?.["generate_summary"])) !== "";
  if (effort === "" && !isShown) {
    return undefined;
  }
  return { $typeName: "penstock.chat.v1.Reasoning", effort, ...(isShown ? { includeThoughts: true } : {}) };
}

function decodeMetadata(body: JsonObject): Record<string, string> {
  const entries = Object.entries(asObject(body["metadata"]) ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, asString(value)]));
}
