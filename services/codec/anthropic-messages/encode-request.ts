import { type ChatRequest, ResponseFormat_Kind } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EncodedRequest, EncodeRequestOptions, JsonObject } from "../codec.ts";
import { encodeMessages, encodeSystem } from "./encode-messages.ts";
import { type EncodedReasoning, encodeReasoning, readClaudeVersion } from "./encode-reasoning.ts";
import { encodeAnswerSchema, encodeToolChoice, encodeTools } from "./encode-tools.ts";
import { toJsonNumber, unsupported } from "../json/json-fields.ts";

const JSON_ONLY = "Reply with one valid JSON object and nothing else: no explanation, no code fence.";

const SERVICE_TIERS: ReadonlyMap<string, string> = new Map([
  ["auto", "auto"],
  ["standard_only", "standard_only"],
  ["default", "standard_only"],
]);

/**
 * Writes a request for Anthropic. Throws CodecError (`unsupported_feature`) for several answers, audio and files that
 * Anthropic does not take; what only tunes the answer is left out and named in `dropped`.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  if ((request.candidateCount ?? 1) > 1) {
    throw unsupported("n", "must be 1: Anthropic gives one answer");
  }
  const dropped = new Set(listDropped(request));
  const drop = (param: string): void => {
    dropped.add(param);
  };
  const maxTokens = toJsonNumber(request.maxOutputTokens ?? BigInt(options.defaultMaxOutputTokens));
  const reasoning = encodeReasoning(request, options.model, maxTokens);
  if (reasoning.dropped) {
    drop("reasoning_effort");
  }
  const system = encodeSystem(request.messages);
  if (request.responseFormat?.kind === ResponseFormat_Kind.JSON_OBJECT) {
    system.push({ type: "text", text: JSON_ONLY });
  }
  const stopSequences = request.stopSequences.filter((text) => text.trim() !== "");
  const toolChoice = encodeToolChoice(request);
  const tier = encodeServiceTier(request, drop);
  const outputConfig = encodeOutputConfig(request, reasoning);
  const body: JsonObject = {
    model: options.model,
    max_tokens: maxTokens,
    ...(system.length === 0 ? {} : { system }),
    messages: encodeMessages(request.messages, drop),
    ...(request.tools.length === 0 ? {} : { tools: encodeTools(request.tools, drop) }),
    ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }),
    ...(stopSequences.length === 0 ? {} : { stop_sequences: stopSequences }),
    ...encodeSampling(request, options.model, reasoning.enabled, drop),
    ...(reasoning.thinking === undefined ? {} : { thinking: reasoning.thinking }),
    ...(outputConfig === undefined ? {} : { output_config: outputConfig }),
    ...(request.endUserId === "" ? {} : { metadata: { user_id: request.endUserId } }),
    ...(tier === undefined ? {} : { service_tier: tier }),
    ...(options.stream ? { stream: true } : {}),
  };
  return { body, dropped: [...dropped].toSorted() };
}

function encodeSampling(
  request: ChatRequest,
  model: string,
  thinks: boolean,
  drop: (param: string) => void,
): JsonObject {
  const temperature = request.temperature === undefined ? undefined : Math.min(request.temperature, 1);
  // While a model thinks, its temperature is fixed to 1, top_p bounded below and top_k refused.
  const keepsTemperature = temperature !== undefined && (!thinks || temperature === 1);
  const keepsTopK = request.topK !== undefined && !thinks;
  // Models after the first of generation 4 refuse temperature and top_p together.
  const onlyOne = keepsTemperature && (readClaudeVersion(model) ?? 0) > 4;
  const keepsTopP = request.topP !== undefined && !onlyOne && (!thinks || request.topP >= 0.95);
  if (temperature !== undefined && !keepsTemperature) {
    drop("temperature");
  }
  if (request.topP !== undefined && !keepsTopP) {
    drop("top_p");
  }
  if (request.topK !== undefined && !keepsTopK) {
    drop("top_k");
  }
  return {
    ...(keepsTemperature ? { temperature } : {}),
    ...(keepsTopP ? { top_p: request.topP } : {}),
    ...(keepsTopK ? { top_k: toJsonNumber(request.topK ?? 0n) } : {}),
  };
}

function encodeOutputConfig(request: ChatRequest, reasoning: EncodedReasoning): JsonObject | undefined {
  const format = request.responseFormat;
  const effort = reasoning.effort === undefined ? {} : { effort: reasoning.effort };
  if (format?.kind === ResponseFormat_Kind.JSON_SCHEMA) {
    const schema = encodeAnswerSchema(format.schemaJson, "response_format.json_schema.schema");
    return { ...effort, format: { type: "json_schema", schema } };
  }
  return reasoning.effort === undefined ? undefined : effort;
}

function encodeServiceTier(request: ChatRequest, drop: (param: string) => void): string | undefined {
  const tier = SERVICE_TIERS.get(request.serviceTier);
  if (request.serviceTier !== "" && tier === undefined) {
    drop("service_tier");
  }
  return tier;
}

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["seed", request.seed !== undefined],
    ["presence_penalty", request.presencePenalty !== undefined],
    ["frequency_penalty", request.frequencyPenalty !== undefined],
    ["logprobs", request.logprobs === true],
    ["top_logprobs", request.topLogprobs !== undefined],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["metadata", Object.keys(request.metadata).length > 0],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}
