import { type ChatRequest, ResponseFormat_Kind, type Tool, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { parseJson, parseJsonObject, toJsonNumber } from "../json/json-fields.ts";
import type { EncodedRequest, EncodeRequestOptions, JsonObject } from "../codec.ts";
import { encodeContents, encodeSystemInstruction } from "./encode-contents.ts";
import { encodeThinking, isSignatureRequired } from "./encode-thinking.ts";

const MOST_STOP_SEQUENCES = 5;

/**
 * Writes a request for Gemini; the model and whether to stream go into the URL, which is not written here. What Gemini
 * cannot express and what only tunes the answer is left out and named in `dropped`.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  const dropped = new Set(listDropped(request));
  const drop = (param: string): void => {
    dropped.add(param);
  };
  const config = encodeConfig(request, options.model, drop);
  const system = encodeSystemInstruction(request.messages);
  const body: JsonObject = {
    ...(system === undefined ? {} : { systemInstruction: system }),
    contents: encodeContents(request.messages, { signCalls: isSignatureRequired(options.model), drop }),
    ...(request.tools.length === 0 ? {} : { tools: [{ functionDeclarations: request.tools.map(encodeTool) }] }),
    ...encodeToolChoice(request),
    ...(Object.keys(config).length === 0 ? {} : { generationConfig: config }),
  };
  return { body, dropped: [...dropped].toSorted() };
}

function encodeConfig(request: ChatRequest, model: string, drop: (param: string) => void): JsonObject {
  const thinking = encodeThinking(request.reasoning, model, drop);
  if (request.stopSequences.length > MOST_STOP_SEQUENCES) {
    drop("stop");
  }
  const stopSequences = request.stopSequences.slice(0, MOST_STOP_SEQUENCES);
  return {
    ...(request.maxOutputTokens === undefined ? {} : { maxOutputTokens: toJsonNumber(request.maxOutputTokens) }),
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.topP === undefined ? {} : { topP: request.topP }),
    ...(request.topK === undefined ? {} : { topK: toJsonNumber(request.topK) }),
    ...(stopSequences.length === 0 ? {} : { stopSequences }),
    ...(request.seed === undefined ? {} : { seed: toJsonNumber(request.seed) }),
    ...(request.presencePenalty === undefined ? {} : { presencePenalty: request.presencePenalty }),
    ...(request.frequencyPenalty === undefined ? {} : { frequencyPenalty: request.frequencyPenalty }),
    ...(request.candidateCount === undefined ? {} : { candidateCount: request.candidateCount }),
    ...(request.logprobs === undefined ? {} : { responseLogprobs: request.logprobs }),
    ...(request.topLogprobs === undefined ? {} : { logprobs: request.topLogprobs }),
    ...encodeFormat(request),
    ...(thinking === undefined ? {} : { thinkingConfig: thinking }),
  };
}

function encodeFormat({ responseFormat }: ChatRequest): JsonObject {
  switch (responseFormat?.kind) {
    case ResponseFormat_Kind.TEXT:
      return { responseMimeType: "text/plain" };
    case ResponseFormat_Kind.JSON_OBJECT:
      return { responseMimeType: "application/json" };
    case ResponseFormat_Kind.JSON_SCHEMA: {
      const text = responseFormat.schemaJson === "" ? "{}" : responseFormat.schemaJson;
      const schema = parseJson(text, "response_format.json_schema.schema");
      return { responseMimeType: "application/json", responseJsonSchema: schema };
    }
    default:
      return {};
  }
}

function encodeTool(tool: Tool, index: number): JsonObject {
  const path = `tools[${index}].function.parameters`;
  return {
    name: tool.name,
    ...(tool.description === "" ? {} : { description: tool.description }),
    // Any JSON Schema, where the older field `parameters` takes few of its keywords and no empty object.
    ...(tool.parametersJson === "" ? {} : { parametersJsonSchema: parseJsonObject(tool.parametersJson, path) }),
  };
}

function encodeToolChoice({ toolChoice }: ChatRequest): JsonObject {
  switch (toolChoice?.mode) {
    case ToolChoice_Mode.AUTO:
      return { toolConfig: { functionCallingConfig: { mode: "AUTO" } } };
    case ToolChoice_Mode.NONE:
      return { toolConfig: { functionCallingConfig: { mode: "NONE" } } };
    case ToolChoice_Mode.REQUIRED:
      return { toolConfig: { functionCallingConfig: { mode: "ANY" } } };
    case ToolChoice_Mode.NAMED:
      return { toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: [toolChoice.toolName] } } };
    default:
      return {};
  }
}

function listDropped(request: ChatRequest): string[] {
  const present: readonly (readonly [string, boolean])[] = [
    ["parallel_tool_calls", request.parallelToolCalls === false],
    ["logit_bias", Object.keys(request.logitBias).length > 0],
    ["metadata", Object.keys(request.metadata).length > 0],
    ["user", request.endUserId !== ""],
    ["service_tier", request.serviceTier !== "" && request.serviceTier !== "auto"],
    ["tools.strict", request.tools.some((tool) => tool.strict === true)],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([name]) => name);
}
