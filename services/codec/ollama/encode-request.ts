import {
  type ChatRequest,
  type Reasoning,
  ResponseFormat_Kind,
  type Tool,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EncodedRequest, EncodeRequestOptions, Json, JsonObject } from "../codec.ts";
import { invalidValue, parseJsonObject, toJsonNumber, unsupported } from "../json/json-fields.ts";
import { setDefined } from "../json/json-values.ts";
import { type Drop, encodeMessages } from "./encode-messages.ts";

/**
 * Writes a request for Ollama. Throws CodecError (`unsupported_feature`) for several answers and for media that Ollama
 * does not take; what only tunes the answer is left out and named in `dropped`.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  if ((request.candidateCount ?? 1) > 1) {
    throw unsupported("n", "must be 1: Ollama gives one answer");
  }
  const dropped = new Set(listDropped(request));
  const drop: Drop = (param) => {
    dropped.add(param);
  };
  const tools = encodeTools(request, drop);
  const sampling = encodeOptions(request);
  const body: Record<string, Json> = { model: options.model, messages: encodeMessages(request.messages, drop) };
  if (tools.length > 0) {
    body["tools"] = tools;
  }
  setDefined(body, "format", encodeFormat(request));
  setDefined(body, "think", encodeThink(request.reasoning, options.model));
  if (Object.keys(sampling).length > 0) {
    body["options"] = sampling;
  }
  // Ollama streams unless it is told not to.
  body["stream"] = options.stream;
  return { body, dropped: [...dropped].toSorted() };
}

function encodeTools({ tools, toolChoice }: ChatRequest, drop: Drop): JsonObject[] {
  if (tools.length === 0 || toolChoice?.mode === ToolChoice_Mode.NONE) {
    return [];
  }
  const isNamed = toolChoice?.mode === ToolChoice_Mode.NAMED;
  const offered = isNamed ? tools.filter((tool) => tool.name === toolChoice.toolName) : tools;
  if (offered.length === 0) {
    throw invalidValue("tool_choice", "must name one of the tools");
  }
  // A model cannot be made to call, only be offered the one tool that it should.
  if (isNamed || toolChoice?.mode === ToolChoice_Mode.REQUIRED) {
    drop("tool_choice");
  }
  if (offered.some((tool) => tool.strict === true)) {
    drop("tools.strict");
  }
  if (offered.some((tool) => tool.cacheControl !== undefined)) {
    drop("cache_control");
  }
  return offered.map((tool, index) => encodeTool(tool, `tools[${index}].function.parameters`));
}

function encodeTool({ name, description, parametersJson }: Tool, path: string): JsonObject {
  return {
    type: "function",
    function: {
      name,
      description,
      parameters: parametersJson === "" ? { type: "object", properties: {} } : parseJsonObject(parametersJson, path),
    },
  };
}

function encodeFormat({ responseFormat }: ChatRequest): Json | undefined {
  switch (responseFormat?.kind) {
    case ResponseFormat_Kind.JSON_OBJECT:
      return "json";
    case ResponseFormat_Kind.JSON_SCHEMA:
      return parseJsonObject(responseFormat.schemaJson, "response_format.json_schema.schema");
    default:
      return undefined;
  }
}

/** Whether to think; models of OpenAI's open family are told how much, all others only whether. */
function encodeThink(reasoning: Reasoning | undefined, model: string): Json | undefined {
  if (reasoning === undefined || (reasoning.effort === "" && reasoning.budgetTokens === undefined)) {
    return undefined;
  }
  const { effort, budgetTokens } = reasoning;
  if (budgetTokens === 0n || (budgetTokens === undefined && effort === "none")) {
    return false;
  }
  if (!model.includes("gpt-oss")) {
    return true;
  }
  switch (effort) {
    case "minimal":
    case "low":
      return "low";
    case "high":
    case "xhigh":
    case "max":
      return "high";
    default:
      return "medium";
  }
}

function encodeOptions(request: ChatRequest): JsonObject {
  const { maxOutputTokens, temperature, topP, topK, seed, presencePenalty, frequencyPenalty, stopSequences } = request;
  return {
    ...(maxOutputTokens === undefined ? {} : { num_predict: toJsonNumber(maxOutputTokens) }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: toJsonNumber(topK) }),
    ...(seed === undefined ? {} : { seed: toJsonNumber(seed) }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: frequencyPenalty }),
    ...(stopSequences.length === 0 ? {} : { stop: stopSequences }),
  };
}

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["logprobs", request.logprobs === true],
    ["top_logprobs", request.topLogprobs !== undefined],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["metadata", Object.keys(request.metadata).length > 0],
    ["parallel_tool_calls", request.parallelToolCalls === false],
    ["service_tier", request.serviceTier !== "" && request.serviceTier !== "auto"],
    ["user", request.endUserId !== ""],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}
