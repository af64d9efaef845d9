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
import { unsupported } from "../json/json-fields.ts";
import { parseJsonObject, setDefined } from "../json/json-values.ts";
import { encodeInput } from "./encode-input.ts";

// OpenAI refuses less.
const SMALLEST_OUTPUT_LIMIT = 16;
const NO_PARAMETERS: JsonObject = { type: "object", properties: {} };

/**
 * Writes a request for a response that the provider does not store. Throws CodecError (`unsupported_feature`) for several
 * answers, stop sequences and audio, which the dialect does not have; what only tunes the answer is left out and named
 * in `dropped`.
 */
export function encodeRequest(request: ChatRequest, { model, stream }: EncodeRequestOptions): EncodedRequest {
  if ((request.candidateCount ?? 1) > 1) {
    throw unsupported("n", "must be 1: the provider gives one answer");
  }
  if (request.stopSequences.length > 0) {
    throw unsupported("stop", "cannot be used with this provider");
  }
  const dropped = new Set(listDropped(request));
  const { instructions, input, replaysReasoning } = encodeInput(request.messages, dropped);
  const body: Record<string, Json> = { model };
  setDefined(body, "instructions", instructions);
  body["input"] = input;
  encodeTools(request, body, dropped);
  if (request.maxOutputTokens !== undefined) {
    body["max_output_tokens"] = Math.max(Number(request.maxOutputTokens), SMALLEST_OUTPUT_LIMIT);
  }
  setDefined(body, "temperature", request.temperature);
  setDefined(body, "top_p", request.topP);
  const format = encodeFormat(request.responseFormat);
  setDefined(body, "text", format && { format });
  const reasoning = encodeReasoning(request.reasoning, dropped);
  setDefined(body, "reasoning", reasoning);
  setDefined(body, "user", request.endUserId || undefined);
  setDefined(body, "service_tier", request.serviceTier || undefined);
  if (Object.keys(request.metadata).length > 0) {
    body["metadata"] = request.metadata;
  }
  body["store"] = false;
  // Models without reasoning refuse to be asked for it.
  const reasons = replaysReasoning || (reasoning !== undefined && reasoning["effort"] !== "none");
  const include = [
    ...(reasons ? ["reasoning.encrypted_content"] : []),
    ...(request.logprobs === true ? ["message.output_text.logprobs"] : []),
  ];
  if (include.length > 0) {
    body["include"] = include;
  }
  if (request.logprobs === true) {
    setDefined(body, "top_logprobs", request.topLogprobs);
  }
  if (stream) {
    body["stream"] = true;
  }
  return { body, dropped: [...dropped].toSorted() };
}

function encodeTools(request: ChatRequest, body: Record<string, Json>, dropped: Set<string>): void {
  // Without tools, the fields that say how to use them are refused.
  if (request.tools.length === 0) {
    return;
  }
  if (request.tools.some((tool) => tool.cacheControl !== undefined)) {
    dropped.add("cache_control");
  }
  body["tools"] = request.tools.map((tool, index) => encodeTool(tool, `tools[${index}].function.parameters`));
  setDefined(body, "tool_choice", encodeToolChoice(request.toolChoice));
  setDefined(body, "parallel_tool_calls", request.parallelToolCalls);
}

function encodeTool(tool: Tool, param: string): JsonObject {
  return {
    type: "function",
    name: tool.name,
    ...(tool.description === "" ? {} : { description: tool.description }),
    parameters: tool.parametersJson === "" ? NO_PARAMETERS : readSchema(tool.parametersJson, param),
    // Left out, it means true here and false in the dialects that callers come from.
    strict: tool.strict ?? false,
  };
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
      return { type: "function", name: choice.toolName };
    default:
      return undefined;
  }
}

function encodeFormat(format: ResponseFormat | undefined): JsonObject | undefined {
  switch (format?.kind) {
    case ResponseFormat_Kind.TEXT:
      return { type: "text" };
    case ResponseFormat_Kind.JSON_OBJECT:
      return { type: "json_object" };
    case ResponseFormat_Kind.JSON_SCHEMA: {
      // A name is required; dialects without one leave it empty.
      const written: Record<string, Json> = { type: "json_schema", name: format.name || "response" };
      setDefined(written, "description", format.description || undefined);
      written["schema"] = readSchema(format.schemaJson || "{}", "response_format.json_schema.schema");
      setDefined(written, "strict", format.strict);
      return written;
    }
    default:
      return undefined;
  }
}

function encodeReasoning(reasoning: Reasoning | undefined, dropped: Set<string>): JsonObject | undefined {
  if (reasoning === undefined) {
    return undefined;
  }
  const effort = reasoning.effort || effortOfBudget(reasoning.budgetTokens);
  if (effort === "" && reasoning.budgetTokens === 0n) {
    // No word turns reasoning off for every model, and models without reasoning refuse all of them.
    dropped.add("reasoning_effort");
  }
  const written: Record<string, Json> = {};
  setDefined(written, "effort", effort || undefined);
  if (reasoning.includeThoughts === true) {
    written["summary"] = "auto";
  }
  return Object.keys(written).length === 0 ? undefined : written;
}

// The dialect has no budget. -1, "the model decides", is what it does when nothing is said.
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

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["frequency_penalty", request.frequencyPenalty !== undefined],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["presence_penalty", request.presencePenalty !== undefined],
    ["seed", request.seed !== undefined],
    ["top_k", request.topK !== undefined],
    ["top_logprobs", request.topLogprobs !== undefined && request.logprobs !== true],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}
