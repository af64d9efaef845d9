import { type ChatRequest, type Reasoning, ResponseFormat_Kind } from "#gen/penstock/chat/v1/chat_pb.ts";
import { type EncodedReasoning, encodeReasoning, readClaudeVersion } from "../anthropic-messages/encode-reasoning.ts";
import { encodeAnswerSchema } from "../anthropic-messages/encode-tools.ts";
import type { EncodedRequest, EncodeRequestOptions, Json, JsonObject } from "../codec.ts";
import { toJsonNumber, unsupported } from "../json/json-fields.ts";
import { setDefined } from "../json/json-values.ts";
import { type Drop, encodeMessages } from "./encode-messages.ts";
import { encodeTools } from "./encode-tools.ts";
import { familyOf, type ModelFamily, refusesSystem } from "./model-family.ts";

const JSON_ONLY = "Reply with one valid JSON object and nothing else: no explanation, no code fence.";
const NO_CALLS = "Do not call any tool: answer in words.";

const SERVICE_TIERS: ReadonlySet<string> = new Set(["default", "flex", "priority", "reserved"]);
const METADATA_KEY = /^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$/;
const METADATA_VALUE = /^[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}$/;
const MOST_METADATA = 16;

/**
 * Writes a request for Converse and ConverseStream, which differ in their paths only. Throws CodecError
 * (`unsupported_feature`) for several answers and for media that Bedrock does not take; what only tunes the answer is
 * left out and named in `dropped`.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  if ((request.candidateCount ?? 1) > 1) {
    throw unsupported("n", "must be 1: Bedrock gives one answer");
  }
  const dropped = new Set(listDropped(request));
  const drop: Drop = (param) => {
    dropped.add(param);
  };
  const { model } = options;
  const family = familyOf(model);
  const foldSystem = refusesSystem(model);
  const { system, messages } = encodeMessages(request.messages, family, { foldSystem }, drop);
  const { toolConfig, mustNotCall } = encodeTools(request, model, family, drop);
  const isJsonObject = request.responseFormat?.kind === ResponseFormat_Kind.JSON_OBJECT;
  const instructions = [
    ...system,
    ...(isJsonObject ? [{ text: JSON_ONLY }] : []),
    ...(mustNotCall ? [{ text: NO_CALLS }] : []),
  ];
  const thinking = thinkingOf(request, options, family, drop);
  const body: Record<string, Json> = { messages };
  if (foldSystem) {
    messages[0]?.content.unshift(...instructions);
  } else if (instructions.length > 0) {
    body["system"] = instructions;
  }
  setDefined(body, "inferenceConfig", encodeInference(request, options, family, thinking, drop));
  setDefined(body, "toolConfig", toolConfig);
  setDefined(body, "additionalModelRequestFields", encodeModelFields(request, family, thinking, drop));
  if (family === "claude" && request.stopSequences.length > 0) {
    // Converse does not say which sequence ended the answer unless it is asked.
    body["additionalModelResponseFieldPaths"] = ["/stop_sequence"];
  }
  setDefined(body, "outputConfig", encodeOutputConfig(request));
  setDefined(body, "requestMetadata", encodeMetadata(request.metadata, drop));
  if (SERVICE_TIERS.has(request.serviceTier)) {
    body["serviceTier"] = { type: request.serviceTier };
  } else if (request.serviceTier !== "" && request.serviceTier !== "auto") {
    drop("service_tier");
  }
  return { body, dropped: [...dropped].toSorted() };
}

/** How Claude is to think; undefined for other models. */
function thinkingOf(
  request: ChatRequest,
  options: EncodeRequestOptions,
  family: ModelFamily,
  drop: Drop,
): EncodedReasoning | undefined {
  if (family !== "claude") {
    return undefined;
  }
  const maxTokens = toJsonNumber(request.maxOutputTokens ?? BigInt(options.defaultMaxOutputTokens));
  const thinking = encodeReasoning(request, options.model, maxTokens);
  if (thinking.dropped) {
    drop("reasoning_effort");
  }
  return thinking;
}

function encodeInference(
  request: ChatRequest,
  options: EncodeRequestOptions,
  family: ModelFamily,
  thinking: EncodedReasoning | undefined,
  drop: Drop,
): JsonObject | undefined {
  const thinks = thinking?.enabled === true;
  const isClaude = family === "claude";
  const temperature = request.temperature === undefined ? undefined : Math.min(request.temperature, 1);
  // While Claude thinks, its temperature is fixed to 1 and top_p bounded below.
  const keepsTemperature = temperature !== undefined && (!thinks || temperature === 1);
  // Models after the first of generation 4 refuse temperature and top_p together.
  const onlyOne = isClaude && keepsTemperature && (readClaudeVersion(options.model) ?? 0) > 4;
  const keepsTopP = request.topP !== undefined && !onlyOne && (!thinks || request.topP >= 0.95);
  if (temperature !== undefined && !keepsTemperature) {
    drop("temperature");
  }
  if (request.topP !== undefined && !keepsTopP) {
    drop("top_p");
  }
  // A budget of thoughts has to be below the limit, so the limit has to be known.
  const needsLimit = thinking?.thinking?.["budget_tokens"] !== undefined;
  const limit = request.maxOutputTokens ?? (needsLimit ? BigInt(options.defaultMaxOutputTokens) : undefined);
  const stops = request.stopSequences.filter((text) => text.trim() !== "");
  const config: JsonObject = {
    ...(limit === undefined ? {} : { maxTokens: toJsonNumber(limit) }),
    ...(keepsTemperature ? { temperature } : {}),
    ...(keepsTopP ? { topP: request.topP } : {}),
    ...(stops.length === 0 ? {} : { stopSequences: stops }),
  };
  return Object.keys(config).length === 0 ? undefined : config;
}

/** What only some models take, in the spelling of their makers. */
function encodeModelFields(
  request: ChatRequest,
  family: ModelFamily,
  thinking: EncodedReasoning | undefined,
  drop: Drop,
): JsonObject | undefined {
  const fields: Record<string, Json> = {};
  if (thinking !== undefined) {
    setDefined(fields, "thinking", thinking.thinking);
    setDefined(fields, "output_config", thinking.effort === undefined ? undefined : { effort: thinking.effort });
  } else {
    encodeEffort(request.reasoning, family, fields, drop);
  }
  if (request.topK !== undefined) {
    const topK = toJsonNumber(request.topK);
    if (family === "claude" && thinking?.enabled !== true) {
      fields["top_k"] = topK;
    } else if (family === "nova") {
      fields["inferenceConfig"] = { topK };
    } else {
      drop("top_k");
    }
  }
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function encodeEffort(
  reasoning: Reasoning | undefined,
  family: ModelFamily,
  fields: Record<string, Json>,
  drop: Drop,
): void {
  if (reasoning === undefined || (reasoning.effort === "" && reasoning.budgetTokens === undefined)) {
    return;
  }
  const effort = effortOf(reasoning);
  switch (family) {
    case "gpt-oss":
      // Cannot be kept from thinking.
      fields["reasoning_effort"] = effort ?? "low";
      break;
    case "nova":
      fields["reasoningConfig"] =
        effort === undefined ? { type: "disabled" } : { type: "enabled", maxReasoningEffort: effort };
      break;
    default:
      if (effort !== undefined) {
        drop("reasoning_effort");
      }
  }
}

/** One of the three words that most models know; undefined for no thoughts. */
function effortOf({ effort, budgetTokens }: Reasoning): "low" | "medium" | "high" | undefined {
  if (budgetTokens === 0n || (budgetTokens === undefined && effort === "none")) {
    return undefined;
  }
  switch (effort) {
    case "minimal":
    case "low":
      return "low";
    case "high":
    case "xhigh":
    case "max":
      return "high";
    case "":
      return budgetTokens === undefined || budgetTokens < 0n || budgetTokens > 8192n
        ? "high"
        : budgetTokens <= 2048n
          ? "low"
          : "medium";
    default:
      return "medium";
  }
}

function encodeOutputConfig({ responseFormat }: ChatRequest): JsonObject | undefined {
  if (responseFormat?.kind !== ResponseFormat_Kind.JSON_SCHEMA) {
    return undefined;
  }
  const { name, description, schemaJson } = responseFormat;
  const schema = JSON.stringify(encodeAnswerSchema(schemaJson, "response_format.json_schema.schema"));
  return {
    textFormat: {
      type: "json_schema",
      structure: {
        jsonSchema: {
          schema,
          ...(name === "" ? {} : { name }),
          ...(description === "" ? {} : { description }),
        },
      },
    },
  };
}

function encodeMetadata(metadata: Readonly<Record<string, string>>, drop: Drop): JsonObject | undefined {
  const entries = Object.entries(metadata);
  if (entries.length === 0) {
    return undefined;
  }
  const taken = entries.every(([key, value]) => METADATA_KEY.test(key) && METADATA_VALUE.test(value));
  if (!taken || entries.length > MOST_METADATA) {
    drop("metadata");
    return undefined;
  }
  return { ...metadata };
}

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["seed", request.seed !== undefined],
    ["presence_penalty", request.presencePenalty !== undefined],
    ["frequency_penalty", request.frequencyPenalty !== undefined],
    ["logprobs", request.logprobs === true],
    ["top_logprobs", request.topLogprobs !== undefined],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["parallel_tool_calls", request.parallelToolCalls === false],
    ["user", request.endUserId !== ""],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}
