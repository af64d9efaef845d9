import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import {
  arrayTooLong,
  brokenRule,
  invalidType,
  invalidValue,
  missingParameter,
  stringTooLong,
} from "../openai-chat/request-errors.ts";
import {
  type NumberRule,
  validateAllowed,
  validateBooleans,
  validateNumbers,
  validateString,
} from "../openai-chat/validate-fields.ts";
import { requireString } from "./validate-fields.ts";
import { validateInput } from "./validate-input.ts";

const MAX_INT32 = 2 ** 31 - 1;
const MAX_TOOLS = 1024;
const MAX_METADATA = 16;
const TOOL_NAME = /^[a-zA-Z0-9_.:-]{1,128}$/;

const NUMBER_RULES: readonly NumberRule[] = [
  { field: "temperature", minimum: 0, maximum: 2, integer: false },
  { field: "top_p", minimum: 0, maximum: 1, integer: false },
  // OpenAI's own minimum is 16; other providers that speak the dialect go lower.
  { field: "max_output_tokens", minimum: 1, maximum: MAX_INT32, integer: true },
  { field: "max_tool_calls", minimum: 1, maximum: MAX_INT32, integer: true },
  { field: "top_logprobs", minimum: 0, maximum: 20, integer: true },
];

const BOOLEAN_FIELDS = ["stream", "store", "background", "parallel_tool_calls"];
const OBJECT_FIELDS = ["text", "reasoning", "stream_options", "prompt"];
/** Strings, with the most characters that each may have. */
const STRING_FIELDS: ReadonlyMap<string, number> = new Map([
  ["instructions", Number.MAX_SAFE_INTEGER],
  ["previous_response_id", 512],
  ["prompt_cache_key", 512],
  ["safety_identifier", 512],
  ["service_tier", 512],
  ["truncation", 512],
  ["user", 512],
]);
const TOOL_CHOICES = ["none", "auto", "required"];
const FORMATS = ["text", "json_object", "json_schema"];

/**
 * Checks the shape of a request for a response as OpenAI does, without building anything. Fields and kinds of items and
 * tools that are not known pass, since compatible servers have them. Throws CodecError with OpenAI's code and the path
 * of the parameter.
 */
export function validateOpenAiResponsesRequest(body: JsonObject): void {
  requireString(body["model"], "model");
  if (body["model"] === "") {
    throw missingParameter("model");
  }
  validateAllowed(body);
  validateScalars(body);
  validateInput(body);
  validateTools(body["tools"]);
  validateToolChoice(body);
  validateText(body["text"]);
  validateReasoning(body["reasoning"]);
  validateInclude(body["include"]);
  validateMetadata(body["metadata"]);
}

function validateScalars(body: JsonObject): void {
  validateNumbers(body, NUMBER_RULES);
  validateBooleans(body, BOOLEAN_FIELDS);
  for (const field of OBJECT_FIELDS) {
    const value = body[field] ?? undefined;
    if (value !== undefined && !isJsonObject(value)) {
      throw invalidType(field, "an object", value);
    }
  }
  for (const [field, maximum] of STRING_FIELDS) {
    validateString(body[field], field, maximum);
  }
}

function validateTools(tools: Json | undefined, param = "tools"): void {
  if (tools === undefined || tools === null) {
    return;
  }
  if (!isJsonArray(tools)) {
    throw invalidType(param, "an array of objects", tools);
  }
  if (tools.length > MAX_TOOLS) {
    throw arrayTooLong(param, MAX_TOOLS, tools.length);
  }
  for (const [index, tool] of tools.entries()) {
    const place = `${param}[${index}]`;
    if (!isJsonObject(tool)) {
      throw invalidType(place, "an object", tool);
    }
    switch (requireString(tool["type"], `${place}.type`)) {
      case "function":
        validateFunction(tool, place);
        break;
      case "custom":
        validateName(tool, place);
        break;
      case "namespace":
        validateName(tool, place);
        // A namespace has no others in it: what is deeper is refused as no function when it is translated.
        if (param === "tools") {
          validateTools(tool["tools"], `${place}.tools`);
        }
        break;
      default:
        break;
    }
  }
}

function validateName(tool: JsonObject, param: string): void {
  // Clients that were written for chat completions nest the function, which OpenAI refuses by its missing name.
  const name = requireString(tool["name"], `${param}.name`);
  if (!TOOL_NAME.test(name)) {
    throw brokenRule(
      `${param}.name`,
      `Invalid '${param}.name': string does not match pattern. Expected a string that matches the pattern '${TOOL_NAME.source}'.`,
    );
  }
}

function validateFunction(tool: JsonObject, param: string): void {
  validateName(tool, param);
  const parameters = tool["parameters"] ?? undefined;
  if (parameters !== undefined && !isJsonObject(parameters)) {
    throw invalidType(`${param}.parameters`, "an object", parameters);
  }
}

function validateToolChoice(body: JsonObject): void {
  const choice = body["tool_choice"];
  if (choice === undefined || choice === null) {
    return;
  }
  if (typeof choice === "string") {
    if (!TOOL_CHOICES.includes(choice)) {
      throw invalidValue("tool_choice", choice, TOOL_CHOICES);
    }
  } else if (!isJsonObject(choice)) {
    throw invalidType("tool_choice", "one of a string or object", choice);
  } else {
    const type = requireString(choice["type"], "tool_choice.type");
    if (type === "function") {
      requireString(choice["name"], "tool_choice.name");
    }
    if (type === "allowed_tools" && !isJsonArray(choice["tools"])) {
      throw choice["tools"] === undefined
        ? missingParameter("tool_choice.tools")
        : invalidType("tool_choice.tools", "an array of objects", choice["tools"]);
    }
  }
  const { tools } = body;
  const isForced = choice !== "none" && choice !== "auto";
  if (isForced && body["prompt"] === undefined && (!isJsonArray(tools) || tools.length === 0)) {
    throw brokenRule("tool_choice", "Tool choice must not be forced when no 'tools' are specified.");
  }
}

function validateText(text: Json | undefined): void {
  const format = isJsonObject(text) ? (text["format"] ?? undefined) : undefined;
  if (format === undefined) {
    return;
  }
  if (!isJsonObject(format)) {
    throw invalidType("text.format", "an object", format);
  }
  const type = requireString(format["type"], "text.format.type");
  if (!FORMATS.includes(type)) {
    throw invalidValue("text.format.type", type, FORMATS);
  }
  if (type !== "json_schema") {
    return;
  }
  requireString(format["name"], "text.format.name");
  const { schema } = format;
  if (schema === undefined) {
    throw missingParameter("text.format.schema");
  }
  if (!isJsonObject(schema)) {
    throw invalidType("text.format.schema", "an object", schema);
  }
}

function validateReasoning(reasoning: Json | undefined): void {
  if (isJsonObject(reasoning)) {
    validateString(reasoning["effort"], "reasoning.effort", 64);
    validateString(reasoning["summary"], "reasoning.summary", 64);
  }
}

function validateInclude(include: Json | undefined): void {
  if (include === undefined || include === null) {
    return;
  }
  if (!isJsonArray(include)) {
    throw invalidType("include", "an array of strings", include);
  }
  for (const [index, entry] of include.entries()) {
    requireString(entry, `include[${index}]`);
  }
}

function validateMetadata(metadata: Json | undefined): void {
  if (metadata === undefined || metadata === null) {
    return;
  }
  if (!isJsonObject(metadata)) {
    throw invalidType("metadata", "an object", metadata);
  }
  const entries = Object.entries(metadata);
  if (entries.length > MAX_METADATA) {
    const message = `Invalid 'metadata': too many properties. Expected an object with at most ${MAX_METADATA} properties, but got an object with ${entries.length} properties instead.`;
    throw brokenRule("metadata", message, "object_above_max_properties");
  }
  for (const [key, value] of entries) {
    if (key.length > 64) {
      throw stringTooLong("metadata", 64, key.length);
    }
    if (key === "__proto__") {
      throw brokenRule("metadata", "Invalid 'metadata': a property may not be named '__proto__'.");
    }
    if (typeof value !== "string") {
      throw invalidType(`metadata.${key}`, "a string", value);
    }
    validateString(value, `metadata.${key}`, 512);
  }
}
