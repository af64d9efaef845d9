import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Reasoning,
  type ResponseFormat,
  ResponseFormat_Kind,
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { decodeCacheControl } from "./decode-content.ts";
import { decodeSampling } from "./decode-sampling.ts";
import { decodeMessages } from "./decode-messages.ts";
import { asArray, asBoolean, asNumber, asObject, asString } from "../json/json-values.ts";
import { unsupportedParameter } from "./request-errors.ts";
import { validateOpenAiChatRequest } from "./validate-request.ts";

// What would change the answer if it were left out, and what no other dialect has.
const UNTRANSLATABLE = ["functions", "function_call", "audio", "web_search_options"];

/** Reads a chat completion request. Throws CodecError with OpenAI's code and the path of the parameter. */
export function decodeRequest(body: JsonObject): ChatRequest {
  validateOpenAiChatRequest(body);
  for (const field of UNTRANSLATABLE) {
    if (body[field] !== undefined && body[field] !== null) {
      throw unsupportedParameter(field, "cannot be used with this model");
    }
  }
  if (asArray(body["modalities"]).some((modality) => modality !== "text")) {
    throw unsupportedParameter("modalities", "supports only 'text' with this model");
  }
  const request = create(ChatRequestSchema, {
    model: asString(body["model"]),
    messages: decodeMessages(asArray(body["messages"])),
    tools: asArray(body["tools"]).map((tool, index) => decodeTool(asObject(tool) ?? {}, `tools[${index}]`)),
    stopSequences: decodeStop(body["stop"]),
    endUserId: asString(body["safety_identifier"]) || asString(body["user"]),
    metadata: decodeMetadata(body["metadata"]),
    logitBias: decodeLogitBias(body["logit_bias"]),
    serviceTier: asString(body["service_tier"]),
  });
  decodeNumbers(body, request);
  const parallel = asBoolean(body["parallel_tool_calls"]);
  if (parallel !== undefined) {
    request.parallelToolCalls = parallel;
  }
  const logprobs = asBoolean(body["logprobs"]);
  if (logprobs !== undefined) {
    request.logprobs = logprobs;
  }
  const choice = decodeToolChoice(body["tool_choice"]);
  if (choice !== undefined) {
    request.toolChoice = choice;
  }
  const format = decodeResponseFormat(asObject(body["response_format"]));
  if (format !== undefined) {
    request.responseFormat = format;
  }
  const reasoning = decodeReasoning(body);
  if (reasoning !== undefined) {
    request.reasoning = reasoning;
  }
  return request;
}

function decodeNumbers(body: JsonObject, request: ChatRequest): void {
  const limits = [asNumber(body["max_completion_tokens"]), asNumber(body["max_tokens"])].filter(
    (limit) => limit !== undefined,
  );
  if (limits.length > 0) {
    request.maxOutputTokens = BigInt(Math.min(...limits));
  }
  decodeSampling(body, request);
  const topK = asNumber(body["top_k"]);
  if (topK !== undefined && Number.isSafeInteger(topK) && topK > 0) {
    request.topK = BigInt(topK);
  }
  const count = asNumber(body["n"]);
  if (count !== undefined) {
    request.candidateCount = count;
  }
  const topLogprobs = asNumber(body["top_logprobs"]);
  if (topLogprobs !== undefined) {
    request.topLogprobs = topLogprobs;
  }
}

function decodeTool(tool: JsonObject, param: string): Tool {
  const definition = asObject(tool["function"]);
  if (tool["type"] !== "function" || definition === undefined) {
    throw unsupportedParameter(`${param}.type`, "must be 'function' for this model");
  }
  const parameters = asObject(definition["parameters"]);
  const cacheControl = decodeCacheControl(tool) ?? decodeCacheControl(definition);
  const strict = asBoolean(definition["strict"]);
  return {
    $typeName: "penstock.chat.v1.Tool",
    name: asString(definition["name"]),
    description: asString(definition["description"]),
    parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
    ...(strict === undefined ? {} : { strict }),
    ...(cacheControl === undefined ? {} : { cacheControl }),
  };
}

function decodeToolChoice(choice: Json | undefined): ToolChoice | undefined {
  switch (choice) {
    case undefined:
    case null:
      return undefined;
    case "auto":
      return toolChoice(ToolChoice_Mode.AUTO);
    case "none":
      return toolChoice(ToolChoice_Mode.NONE);
    case "required":
    case "any":
      return toolChoice(ToolChoice_Mode.REQUIRED);
    default: {
      const toolName = asString(asObject(asObject(choice)?.["function"])?.["name"]);
      if (toolName === "") {
        throw unsupportedParameter("tool_choice", "must name a function for this model");
      }
      return toolChoice(ToolChoice_Mode.NAMED, toolName);
    }
  }
}

function toolChoice(mode: ToolChoice_Mode, toolName = ""): ToolChoice {
  return { $typeName: "penstock.chat.v1.ToolChoice", mode, toolName };
}

function decodeResponseFormat(format: JsonObject | undefined): ResponseFormat | undefined {
  if (format === undefined) {
    return undefined;
  }
  const base = { $typeName: "penstock.chat.v1.ResponseFormat", name: "", description: "", schemaJson: "" } as const;
  if (format["type"] === "text") {
    return { ...base, kind: ResponseFormat_Kind.TEXT };
  }
  if (format["type"] === "json_object") {
    return { ...base, kind: ResponseFormat_Kind.JSON_OBJECT };
  }
  const definition = asObject(format["json_schema"]) ?? {};
  const strict = asBoolean(definition["strict"]);
  return {
    ...base,
    kind: ResponseFormat_Kind.JSON_SCHEMA,
    name: asString(definition["name"]),
    description: asString(definition["description"]),
    schemaJson: JSON.stringify(definition["schema"] ?? {}),
    ...(strict === undefined ? {} : { strict }),
  };
}

// OpenAI has `reasoning_effort` only; `reasoning` is OpenRouter's, `thinking` what DeepSeek and many clients use.
function decodeReasoning(body: JsonObject): Reasoning | undefined {
  const extended = asObject(body["reasoning"]);
  const thinking = asObject(body["thinking"]);
  const effort = asString(body["reasoning_effort"]) || asString(extended?.["effort"]);
  const isOff = extended?.["enabled"] === false || thinking?.["type"] === "disabled";
  const budget = isOff ? 0 : (asNumber(extended?.["max_tokens"]) ?? asNumber(thinking?.["budget_tokens"]));
  const isExcluded = extended?.["exclude"] === true;
  if (effort === "" && budget === undefined && !isExcluded) {
    return undefined;
  }
  return {
    $typeName: "penstock.chat.v1.Reasoning",
    effort,
    ...(budget === undefined ? {} : { budgetTokens: BigInt(Math.trunc(budget)) }),
    ...(isExcluded ? { includeThoughts: false } : {}),
  };
}

function decodeStop(stop: Json | undefined): string[] {
  if (typeof stop === "string") {
    return stop === "" ? [] : [stop];
  }
  return asArray(stop).map(asString);
}

function decodeMetadata(metadata: Json | undefined): Record<string, string> {
  const entries = Object.entries(asObject(metadata) ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, asString(value)]));
}

function decodeLogitBias(bias: Json | undefined): Record<string, number> {
  const entries = Object.entries(asObject(bias) ?? {});
  return Object.fromEntries(entries.map(([token, value]) => [token, asNumber(value) ?? 0]));
}
