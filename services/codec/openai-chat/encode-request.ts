import {
  type ChatRequest,
  type Reasoning,
  type ResponseFormat,
  ResponseFormat_Kind,
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodedRequest, type EncodeRequestOptions, type Json, type JsonObject } from "../codec.ts";
import type { OpenAiChatOptions } from "./codec-options.ts";
import { encodeCacheControl } from "./encode-content.ts";
import { encodeMessages } from "./encode-messages.ts";
import { parseJsonObject, setDefined } from "../json/json-values.ts";

const MAX_STOPS = 4;

/** Writes a chat completion request. Throws CodecError (`unsupported_feature`) where dropping would change the meaning. */
export function encodeRequest(
  request: ChatRequest,
  { model, stream }: EncodeRequestOptions,
  options: OpenAiChatOptions,
): EncodedRequest {
  const dropped = new Set<string>();
  const body: Record<string, Json> = { model, messages: encodeMessages(request.messages, options, dropped) };
  encodeTools(request, body, options, dropped);
  setDefined(body, options.maxTokensField ?? "max_completion_tokens", toNumber(request.maxOutputTokens));
  setDefined(body, "temperature", request.temperature);
  setDefined(body, "top_p", request.topP);
  encodeExtendedSampling(request, body, options, dropped);
  setDefined(body, "seed", toNumber(request.seed));
  setDefined(body, "presence_penalty", request.presencePenalty);
  setDefined(body, "frequency_penalty", request.frequencyPenalty);
  setDefined(body, "response_format", encodeResponseFormat(request.responseFormat));
  encodeReasoning(request.reasoning, body, dropped);
  setDefined(body, "n", request.candidateCount);
  setDefined(body, "logprobs", request.logprobs);
  setDefined(body, "top_logprobs", request.topLogprobs);
  setDefined(body, "user", request.endUserId || undefined);
  setDefined(body, "service_tier", request.serviceTier || undefined);
  if (Object.keys(request.logitBias).length > 0) {
    body["logit_bias"] = request.logitBias;
  }
  if (Object.keys(request.metadata).length > 0) {
    // OpenAI takes metadata only for answers that it is asked to store.
    dropped.add("metadata");
  }
  if (stream) {
    body["stream"] = true;
    if (options.streamOptions !== false) {
      body["stream_options"] = { include_usage: true };
    }
  }
  return { body, dropped: [...dropped].toSorted() };
}

function encodeTools(
  request: ChatRequest,
  body: Record<string, Json>,
  options: OpenAiChatOptions,
  dropped: Set<string>,
): void {
  // Without tools, OpenAI refuses the fields that say how to use them.
  if (request.tools.length === 0) {
    return;
  }
  body["tools"] = request.tools.map((tool, index) => ({
    ...encodeTool(tool, `tools[${index}]`),
    ...encodeCacheControl(tool.cacheControl, options, dropped),
  }));
  setDefined(body, "tool_choice", encodeToolChoice(request.toolChoice));
  setDefined(body, "parallel_tool_calls", request.parallelToolCalls);
}

function encodeTool(tool: Tool, param: string): JsonObject {
  const definition: Record<string, Json> = { name: tool.name };
  setDefined(definition, "description", tool.description || undefined);
  if (tool.parametersJson !== "") {
    definition["parameters"] = readSchema(tool.parametersJson, `${param}.function.parameters`);
  }
  setDefined(definition, "strict", tool.strict);
  return { type: "function", function: definition };
}

function encodeToolChoice(choice: ToolChoice | undefined): Json | undefined {
  switch (choice?.mode) {
    case ToolChoice_Mode.AUTO:
      return "auto";
    case ToolChoice_Mode.NONE:
      return "none";
    case ToolChoice_Mode.REQUIRED:
      return "required";
    case ToolChoice_Mode.NAMED:
      return { type: "function", function: { name: choice.toolName } };
    default:
      return undefined;
  }
}

function encodeExtendedSampling(
  request: ChatRequest,
  body: Record<string, Json>,
  options: OpenAiChatOptions,
  dropped: Set<string>,
): void {
  const { stopSequences, topK } = request;
  if (stopSequences.length > MAX_STOPS && options.extensions !== true) {
    throw new CodecError(`the provider takes at most ${MAX_STOPS} stop sequences`, {
      param: "stop",
      code: "unsupported_feature",
    });
  }
  if (stopSequences.length > 0) {
    body["stop"] = stopSequences;
  }
  if (topK !== undefined) {
    if (options.extensions === true) {
      body["top_k"] = Number(topK);
    } else {
      dropped.add("top_k");
    }
  }
}

function encodeResponseFormat(format: ResponseFormat | undefined): JsonObject | undefined {
  switch (format?.kind) {
    case ResponseFormat_Kind.TEXT:
      return { type: "text" };
    case ResponseFormat_Kind.JSON_OBJECT:
      return { type: "json_object" };
    case ResponseFormat_Kind.JSON_SCHEMA: {
      // OpenAI requires a name; dialects without one leave it empty.
      const definition: Record<string, Json> = { name: format.name || "response" };
      setDefined(definition, "description", format.description || undefined);
      definition["schema"] = readSchema(format.schemaJson || "{}", "response_format.json_schema.schema");
      setDefined(definition, "strict", format.strict);
      return { type: "json_schema", json_schema: definition };
    }
    default:
      return undefined;
  }
}

function encodeReasoning(reasoning: Reasoning | undefined, body: Record<string, Json>, dropped: Set<string>): void {
  if (reasoning === undefined) {
    return;
  }
  const effort = reasoning.effort || effortOfBudget(reasoning.budgetTokens);
  if (effort !== "") {
    body["reasoning_effort"] = effort;
  } else if (reasoning.budgetTokens === 0n) {
    // No word turns reasoning off for every model, and models without reasoning refuse all of them.
    dropped.add("reasoning_effort");
  }
}

// OpenAI has no budget. -1, "the model decides", is what it does when nothing is said.
function effortOfBudget(budget: bigint | undefined): string {
  if (budget === undefined || budget <= 0n) {
    return "";
  }
  return budget <= 2048n ? "low" : budget <= 8192n ? "medium" : "high";
}

function readSchema(text: string, param: string): JsonObject {
  const schema = parseJsonObject(text);
  if (schema === undefined) {
    throw new CodecError(`Invalid '${param}': expected a JSON object.`, { param, code: "invalid_json_schema" });
  }
  return schema;
}

function toNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
