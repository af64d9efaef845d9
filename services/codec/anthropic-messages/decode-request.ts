import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Message,
  type Reasoning,
  ReasoningSchema,
  type ResponseFormat,
  ResponseFormat_Kind,
  ResponseFormatSchema,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { message, textPart, withCacheControl } from "../chat/chat-parts.ts";
import { decodeMessages, readCacheControl } from "./decode-messages.ts";
import { decodeToolChoice, decodeTools } from "./decode-tools.ts";
import {
  invalidValue,
  isJsonArray,
  missing,
  readArray,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  requireName,
  requireObject,
  requireString,
  unsupported,
  wrongType,
} from "../json/json-fields.ts";

const SMALLEST_BUDGET = 1024;
// What is left out is named in a header field, and fields are named by the caller.
const LONGEST_FIELD = 64;
const MOST_FIELDS = 32;

/** The fields that are read here or elsewhere on the way; those of Anthropic's features and betas are not among them. */
const READ_FIELDS: ReadonlySet<string> = new Set([
  "model",
  "max_tokens",
  "messages",
  "system",
  "tools",
  "tool_choice",
  "temperature",
  "top_p",
  "top_k",
  "stop_sequences",
  "stream",
  "metadata",
  "thinking",
  "output_config",
  "output_format",
  "service_tier",
  "mcp_servers",
  "container",
]);

/**
 * Reads an Anthropic request. Throws CodecError for what Anthropic would refuse, and (`unsupported_feature`) for what only
 * Anthropic can do and the answer depends on; what it does not depend on is left out and added to `dropped`. The system
 * prompt becomes the first message.
 */
export function decodeRequest(body: JsonObject, dropped = new Set<string>()): ChatRequest {
  const model = requireName(body, "model", "");
  const maxOutputTokens = readInteger(body, "max_tokens", "", { min: 1 });
  if (maxOutputTokens === undefined) {
    throw missing("max_tokens");
  }
  const messages = readArray(body, "messages", "");
  if (messages === undefined) {
    throw missing("messages");
  }
  if (messages.length === 0) {
    throw new CodecError("messages must not be empty", { param: "messages", code: "empty_array" });
  }
  for (const field of ["mcp_servers", "container"]) {
    if ((body[field] ?? undefined) !== undefined) {
      throw unsupported(field, "is only available from Anthropic itself");
    }
  }
  for (const [field, value] of Object.entries(body)) {
    if (value !== null && !READ_FIELDS.has(field) && dropped.size < MOST_FIELDS) {
      dropped.add(field.slice(0, LONGEST_FIELD));
    }
  }
  const temperature = readNumber(body, "temperature", "", { min: 0, max: 1 });
  const topP = readNumber(body, "top_p", "", { min: 0, max: 1 });
  const topK = readInteger(body, "top_k", "", { min: 0 });
  const reasoning = decodeReasoning(body, maxOutputTokens);
  const responseFormat = decodeResponseFormat(body);
  const metadata = readObject(body, "metadata", "");
  const tools = decodeTools(body, dropped);
  return create(ChatRequestSchema, {
    model,
    messages: [...decodeSystem(body), ...decodeMessages(messages)],
    tools,
    ...decodeToolChoice(body, tools),
    maxOutputTokens,
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    stopSequences: [...readStrings(body, "stop_sequences", "")],
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
    endUserId: metadata === undefined ? "" : (readString(metadata, "user_id", "metadata") ?? ""),
    serviceTier: readString(body, "service_tier", "") ?? "",
  });
}

function decodeSystem(body: JsonObject): Message[] {
  const system = body["system"] ?? undefined;
  if (system === undefined || system === "") {
    return [];
  }
  if (typeof system === "string") {
    return [message(Role.SYSTEM, [textPart(system)])];
  }
  if (!isJsonArray(system)) {
    throw wrongType("system", "a string or an array of text blocks");
  }
  const parts = system.map((value, index) => {
    const path = `system[${index}]`;
    const block = requireObject(value, path);
    if (requireString(block, "type", path) !== "text") {
      throw invalidValue(`${path}.type`, "must be text");
    }
    return withCacheControl(textPart(requireString(block, "text", path)), readCacheControl(block, path));
  });
  return parts.length === 0 ? [] : [message(Role.SYSTEM, parts)];
}

function decodeReasoning(body: JsonObject, maxOutputTokens: bigint): Reasoning | undefined {
  const thinking = readObject(body, "thinking", "");
  const outputConfig = readObject(body, "output_config", "");
  const effort = outputConfig === undefined ? "" : (readString(outputConfig, "effort", "output_config") ?? "");
  if (thinking === undefined) {
    return effort === "" ? undefined : create(ReasoningSchema, { effort });
  }
  const type = requireString(thinking, "type", "thinking");
  const display = readString(thinking, "display", "thinking");
  const shown = display === undefined ? {} : { includeThoughts: display !== "omitted" };
  switch (type) {
    case "disabled":
      return create(ReasoningSchema, { effort: "none" });
    case "adaptive":
      return create(ReasoningSchema, { effort, budgetTokens: -1n, ...shown });
    case "enabled": {
      const budgetTokens = readInteger(thinking, "budget_tokens", "thinking", { min: SMALLEST_BUDGET });
      if (budgetTokens === undefined) {
        throw missing("thinking.budget_tokens");
      }
      if (budgetTokens >= maxOutputTokens) {
        throw invalidValue("thinking.budget_tokens", "must be less than max_tokens");
      }
      return create(ReasoningSchema, { effort, budgetTokens, ...shown });
    }
    default:
      throw invalidValue("thinking.type", "must be enabled, disabled or adaptive");
  }
}

function decodeResponseFormat(body: JsonObject): ResponseFormat | undefined {
  const outputConfig = readObject(body, "output_config", "");
  const current = outputConfig === undefined ? undefined : readObject(outputConfig, "format", "output_config");
  // The name of the field while the feature was a beta.
  const format = current ?? readObject(body, "output_format", "");
  if (format === undefined) {
    return undefined;
  }
  const path = current === undefined ? "output_format" : "output_config.format";
  if (requireString(format, "type", path) !== "json_schema") {
    throw invalidValue(`${path}.type`, "must be json_schema");
  }
  return create(ResponseFormatSchema, {
    kind: ResponseFormat_Kind.JSON_SCHEMA,
    // Anthropic's schemas have no name, and OpenAI's need one.
    name: "response",
    schemaJson: JSON.stringify(requireObject(format["schema"], `${path}.schema`)),
    strict: true,
  });
}
