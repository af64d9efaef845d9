import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Reasoning,
  ReasoningSchema,
  type ResponseFormat,
  ResponseFormat_Kind,
  ResponseFormatSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  missing,
  readBoolean,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  requireObject,
  unsupported,
} from "../json/json-fields.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { camelKeys } from "./google-json.ts";
import { decodeContents, decodeSystemInstruction } from "./decode-contents.ts";
import { decodeToolConfig, decodeTools } from "./decode-tools.ts";
import { toJsonSchema } from "./openapi-schema.ts";

const CONFIG = "generationConfig";

/**
 * Reads a Gemini request. Its URL names the model and whether to stream, so `model` is empty and the caller fills it.
 * Throws CodecError for what Gemini would refuse, and (`unsupported_feature`) for what only Gemini offers and the answer
 * depends on; what it does not depend on is left out and added to `dropped`.
 */
export function decodeRequest(body: JsonObject, dropped = new Set<string>()): ChatRequest {
  const request = camelKeys(body);
  const contents = request["contents"] ?? undefined;
  if (contents === undefined) {
    throw missing("contents");
  }
  if (Array.isArray(contents) && contents.length === 0) {
    throw new CodecError("contents must not be empty", { param: "contents", code: "empty_array" });
  }
  if ((request["cachedContent"] ?? undefined) !== undefined) {
    throw unsupported("cachedContent", "is kept by Gemini and cannot be read by another provider");
  }
  const instruction = request["systemInstruction"] ?? undefined;
  const tools = decodeTools(request, dropped);
  return create(ChatRequestSchema, {
    messages: [
      ...(instruction === undefined ? [] : decodeSystemInstruction(instruction, "systemInstruction")),
      ...decodeContents(contents, "contents"),
    ],
    ...decodeToolConfig(request, tools),
    ...decodeConfig(camelKeys(readObject(request, CONFIG, "") ?? {})),
  });
}

function decodeConfig(config: JsonObject): Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest> {
  const maxOutputTokens = readInteger(config, "maxOutputTokens", CONFIG, { min: 1 });
  const temperature = readNumber(config, "temperature", CONFIG, { min: 0, max: 2 });
  const topP = readNumber(config, "topP", CONFIG, { min: 0, max: 1 });
  // Google's own SDK sends this integer as a float.
  const topK = readNumber(config, "topK", CONFIG, { min: 0 });
  const seed = readInteger(config, "seed", CONFIG);
  const presencePenalty = readNumber(config, "presencePenalty", CONFIG);
  const frequencyPenalty = readNumber(config, "frequencyPenalty", CONFIG);
  const candidateCount = readInteger(config, "candidateCount", CONFIG, { min: 1, max: 8 });
  const logprobs = readBoolean(config, "responseLogprobs", CONFIG);
  const topLogprobs = readInteger(config, "logprobs", CONFIG, { min: 0, max: 20 });
  const responseFormat = decodeResponseFormat(config);
  const reasoning = decodeReasoning(config);
  checkModalities(config);
  return {
    stopSequences: [...readStrings(config, "stopSequences", CONFIG)],
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK: BigInt(Math.trunc(topK)) }),
    ...(seed === undefined ? {} : { seed }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(candidateCount === undefined ? {} : { candidateCount: Number(candidateCount) }),
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(topLogprobs === undefined ? {} : { topLogprobs: Number(topLogprobs) }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
  };
}

function checkModalities(config: JsonObject): void {
  const other = readStrings(config, "responseModalities", CONFIG).find((name) => name.toUpperCase() !== "TEXT");
  if (other !== undefined) {
    throw unsupported(`${CONFIG}.responseModalities`, `asks for ${other}, and only text can be translated`);
  }
}

function decodeResponseFormat(config: JsonObject): ResponseFormat | undefined {
  const mimeType = readString(config, "responseMimeType", CONFIG) ?? "";
  const jsonSchema = config["responseJsonSchema"] ?? config["_responseJsonSchema"] ?? undefined;
  const openApi = readObject(config, "responseSchema", CONFIG);
  if (jsonSchema !== undefined || openApi !== undefined) {
    const schema =
      openApi === undefined ? requireObject(jsonSchema, `${CONFIG}.responseJsonSchema`) : toJsonSchema(openApi);
    return create(ResponseFormatSchema, {
      kind: ResponseFormat_Kind.JSON_SCHEMA,
      // Gemini's schemas have no name, and OpenAI's need one.
      name: "response",
      schemaJson: JSON.stringify(schema),
    });
  }
  switch (mimeType) {
    case "":
      return undefined;
    case "text/plain":
      return create(ResponseFormatSchema, { kind: ResponseFormat_Kind.TEXT });
    case "application/json":
      return create(ResponseFormatSchema, { kind: ResponseFormat_Kind.JSON_OBJECT });
    default:
      throw unsupported(`${CONFIG}.responseMimeType`, "must be text/plain or application/json to be translated");
  }
}

function decodeReasoning(config: JsonObject): Reasoning | undefined {
  const path = `${CONFIG}.thinkingConfig`;
  const source = readObject(config, "thinkingConfig", CONFIG);
  if (source === undefined) {
    return undefined;
  }
  const thinking = camelKeys(source);
  const budgetTokens = readInteger(thinking, "thinkingBudget", path, { min: -1 });
  const level = (readString(thinking, "thinkingLevel", path) ?? "").toLowerCase();
  const includeThoughts = readBoolean(thinking, "includeThoughts", path);
  return create(ReasoningSchema, {
    effort: level === "thinking_level_unspecified" ? "" : level,
    // -1 and 0 mean the same in the intermediate form, so that no detour can swap them.
    ...(budgetTokens === undefined ? {} : { budgetTokens }),
    ...(includeThoughts === undefined ? {} : { includeThoughts }),
  });
}
