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

const MOST_STOPS = 5;
const BUDGET_BY_EFFORT: ReadonlyMap<string, number> = new Map([
  ["minimal", 512],
  ["low", 1024],
  ["medium", 4096],
]);

/** Cohere's models that do not think, and refuse to be told how much. */
const THOUGHTLESS = /^(?:command-a-(?:03|vision|translate)|command-r|command-nightly|command-light|c4ai)/;

/**
 * Writes a request for Cohere. Throws CodecError (`unsupported_feature`) for several answers, sounds, documents and a
 * form of the answer beside tools; what only tunes the answer is left out and named in `dropped`, or brought into
 * Cohere's bounds.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  if ((request.candidateCount ?? 1) > 1) {
    throw unsupported("n", "must be 1: Cohere gives one answer");
  }
  if (request.stopSequences.length > MOST_STOPS) {
    throw unsupported("stop", `must have at most ${MOST_STOPS} texts for Cohere`);
  }
  const dropped = new Set(listDropped(request));
  const drop: Drop = (param) => void dropped.add(param);
  const body: Record<string, Json> = { model: options.model, messages: encodeMessages(request.messages, drop) };
  encodeTools(request, body, drop);
  if (request.maxOutputTokens !== undefined) {
    body["max_tokens"] = toJsonNumber(request.maxOutputTokens);
  }
  setDefined(body, "temperature", within(request.temperature, 0, 1));
  setDefined(body, "p", within(request.topP, 0.01, 0.99));
  setDefined(body, "k", within(numberOf(request.topK), 0, 500));
  setDefined(body, "seed", numberOf(request.seed));
  setDefined(body, "presence_penalty", within(request.presencePenalty, 0, 1));
  setDefined(body, "frequency_penalty", within(request.frequencyPenalty, 0, 1));
  if (request.stopSequences.length > 0) {
    body["stop_sequences"] = request.stopSequences;
  }
  setDefined(body, "response_format", encodeResponseFormat(request));
  setDefined(body, "thinking", encodeThinking(request.reasoning, options.model, drop));
  if (options.stream) {
    body["stream"] = true;
  }
  return { body, dropped: [...dropped].toSorted() };
}

function encodeTools({ tools, toolChoice }: ChatRequest, body: Record<string, Json>, drop: Drop): void {
  if (tools.length === 0) {
    return;
  }
  // Cohere cannot be told which tool to call, but can be told to call one of one.
  const isNamed = toolChoice?.mode === ToolChoice_Mode.NAMED;
  const offered = isNamed ? tools.filter((tool) => tool.name === toolChoice.toolName) : tools;
  if (offered.length === 0) {
    throw invalidValue("tool_choice", "must name one of the tools");
  }
  body["tools"] = offered.map((tool, index) => encodeTool(tool, `tools[${index}].function.parameters`));
  // Strictness is of all tools or of none.
  if (offered.every((tool) => tool.strict === true)) {
    body["strict_tools"] = true;
  } else if (offered.some((tool) => tool.strict === true)) {
    drop("tools.strict");
  }
  if (offered.some((tool) => tool.cacheControl !== undefined)) {
    drop("cache_control");
  }
  if (isNamed || toolChoice?.mode === ToolChoice_Mode.REQUIRED) {
    body["tool_choice"] = "REQUIRED";
  } else if (toolChoice?.mode === ToolChoice_Mode.NONE) {
    body["tool_choice"] = "NONE";
  }
}

function encodeTool({ name, description, parametersJson }: Tool, path: string): JsonObject {
  return {
    type: "function",
    function: {
      name,
      ...(description === "" ? {} : { description }),
      // Cohere requires a schema, of a tool without arguments too.
      parameters: parametersJson === "" ? { type: "object", properties: {} } : parseJsonObject(parametersJson, path),
    },
  };
}

function encodeResponseFormat({ responseFormat, tools }: ChatRequest): JsonObject | undefined {
  switch (responseFormat?.kind) {
    case ResponseFormat_Kind.JSON_OBJECT:
    case ResponseFormat_Kind.JSON_SCHEMA: {
      if (tools.length > 0) {
        throw unsupported("response_format", "cannot be used with tools at Cohere");
      }
      const hasSchema = responseFormat.kind === ResponseFormat_Kind.JSON_SCHEMA;
      const path = "response_format.json_schema.schema";
      return {
        type: "json_object",
        ...(hasSchema ? { json_schema: parseJsonObject(responseFormat.schemaJson, path) } : {}),
      };
    }
    default:
      return undefined;
  }
}

function encodeThinking(reasoning: Reasoning | undefined, model: string, drop: Drop): JsonObject | undefined {
  if (reasoning === undefined || (reasoning.effort === "" && reasoning.budgetTokens === undefined)) {
    return undefined;
  }
  const { effort, budgetTokens } = reasoning;
  const isOff = budgetTokens === 0n || (budgetTokens === undefined && effort === "none");
  if (THOUGHTLESS.test(model)) {
    if (!isOff) {
      drop("reasoning_effort");
    }
    return undefined;
  }
  if (isOff) {
    return { type: "disabled" };
  }
  // Without a budget, which -1 asks for, the model thinks as much as it likes: that is the highest effort.
  const budget = budgetTokens === undefined ? BUDGET_BY_EFFORT.get(effort) : toJsonNumber(budgetTokens);
  return { type: "enabled", ...(budget === undefined || budget < 0 ? {} : { token_budget: budget }) };
}

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["logprobs", request.logprobs === true],
    ["top_logprobs", request.topLogprobs !== undefined],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["metadata", Object.keys(request.metadata).length > 0],
    ["parallel_tool_calls", request.parallelToolCalls === false],
    ["service_tier", request.serviceTier !== ""],
    ["user", request.endUserId !== ""],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}

function within(value: number | undefined, least: number, most: number): number | undefined {
  return value === undefined ? undefined : Math.min(Math.max(value, least), most);
}

function numberOf(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : toJsonNumber(value);
}
