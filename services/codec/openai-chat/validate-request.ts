import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import {
  arrayTooLong,
  brokenRule,
  invalidType,
  invalidValue,
  missingParameter,
  stringTooLong,
} from "./request-errors.ts";
import {
  type NumberRule,
  validateAllowed,
  validateBooleans,
  validateNumber,
  validateNumbers,
  validateString,
} from "./validate-fields.ts";
import { validateMessages } from "./validate-messages.ts";

const MAX_INT32 = 2 ** 31 - 1;
const MAX_TOOLS = 128;
const MAX_STOPS = 4;
const MAX_USER_LENGTH = 512;
const TOOL_NAME = /^[a-zA-Z0-9_.:-]{1,128}$/;

const NUMBER_RULES: readonly NumberRule[] = [
  { field: "temperature", minimum: 0, maximum: 2, integer: false },
  { field: "top_p", minimum: 0, maximum: 1, integer: false },
  { field: "presence_penalty", minimum: -2, maximum: 2, integer: false },
  { field: "frequency_penalty", minimum: -2, maximum: 2, integer: false },
  { field: "n", minimum: 1, maximum: 128, integer: true },
  { field: "max_tokens", minimum: 1, maximum: MAX_INT32, integer: true },
  { field: "max_completion_tokens", minimum: 1, maximum: MAX_INT32, integer: true },
  { field: "top_logprobs", minimum: 0, maximum: 20, integer: true },
  { field: "seed", minimum: -(2 ** 63), maximum: 2 ** 63 - 1024, integer: true },
];

const BOOLEAN_FIELDS = ["stream", "logprobs", "parallel_tool_calls", "store"];
const STRING_FIELDS = ["user", "safety_identifier", "reasoning_effort", "service_tier"];
const TOOL_CHOICES = ["none", "auto", "required", "any"];
const RESPONSE_FORMATS = ["text", "json_object", "json_schema"];

/**
 * Checks the shape of a chat completion request as OpenAI does, without building anything. Fields that OpenAI does not
 * have pass, since compatible servers have them. Throws CodecError with OpenAI's code and the path of the parameter.
 */
export function validateOpenAiChatRequest(body: JsonObject): void {
  const model = body["model"];
  if (model === undefined || model === "") {
    throw brokenRule("model", "you must provide a model parameter", "missing_required_parameter");
  }
  if (typeof model !== "string") {
    throw invalidType("model", "a string", model);
  }
  validateAllowed(body);
  validateMessages(body["messages"]);
  validateNumbers(body, NUMBER_RULES);
  validateBooleans(body, BOOLEAN_FIELDS);
  for (const field of STRING_FIELDS) {
    validateString(body[field], field, MAX_USER_LENGTH);
  }
  validateStop(body["stop"]);
  validateTools(body);
  validateResponseFormat(body["response_format"]);
  validateStreamOptions(body);
  validateMetadata(body["metadata"]);
  validateLogitBias(body["logit_bias"]);
}

/** Checks the texts that end an answer. Throws CodecError in OpenAI's words. */
export function validateStop(stop: Json | undefined): void {
  if (stop === undefined || stop === null || typeof stop === "string") {
    return;
  }
  if (!isJsonArray(stop)) {
    throw invalidType("stop", "one of a string or array of strings", stop);
  }
  if (stop.length > MAX_STOPS) {
    throw arrayTooLong("stop", MAX_STOPS, stop.length);
  }
  for (const [index, entry] of stop.entries()) {
    if (typeof entry !== "string") {
      throw invalidType(`stop[${index}]`, "a string", entry);
    }
    if (entry === "") {
      throw brokenRule(`stop[${index}]`, `Invalid 'stop[${index}]': empty string.`, "string_below_min_length");
    }
  }
}

function validateTools(body: JsonObject): void {
  const tools = body["tools"];
  if (tools !== undefined && tools !== null) {
    if (!isJsonArray(tools)) {
      throw invalidType("tools", "an array of objects", tools);
    }
    if (tools.length > MAX_TOOLS) {
      throw arrayTooLong("tools", MAX_TOOLS, tools.length);
    }
    for (const [index, tool] of tools.entries()) {
      validateTool(tool, `tools[${index}]`);
    }
  }
  const choice = body["tool_choice"];
  if (choice === undefined || choice === null) {
    return;
  }
  if (typeof choice === "string") {
    if (!TOOL_CHOICES.includes(choice)) {
      throw invalidValue("tool_choice", choice, TOOL_CHOICES.slice(0, 3));
    }
  } else if (!isJsonObject(choice)) {
    throw invalidType("tool_choice", "one of a string or object", choice);
  } else if (typeof choice["type"] !== "string") {
    throw missingParameter("tool_choice.type");
  }
  const forced = choice !== "none" && choice !== "auto";
  if (forced && (!isJsonArray(tools) || tools.length === 0)) {
    throw brokenRule("tool_choice", "'tool_choice' is only allowed when 'tools' are specified.");
  }
}

function validateTool(tool: Json, param: string): void {
  if (!isJsonObject(tool)) {
    throw invalidType(param, "an object", tool);
  }
  if (tool["type"] === undefined) {
    throw missingParameter(`${param}.type`);
  }
  if (tool["type"] !== "function") {
    return;
  }
  const definition = tool["function"];
  if (definition === undefined) {
    throw missingParameter(`${param}.function`);
  }
  if (!isJsonObject(definition)) {
    throw invalidType(`${param}.function`, "an object", definition);
  }
  const name = definition["name"];
  if (name === undefined) {
    throw missingParameter(`${param}.function.name`);
  }
  if (typeof name !== "string") {
    throw invalidType(`${param}.function.name`, "a string", name);
  }
  if (!TOOL_NAME.test(name)) {
    throw brokenRule(
      `${param}.function.name`,
      `Invalid '${param}.function.name': string does not match pattern. Expected a string that matches the pattern '${TOOL_NAME.source}'.`,
    );
  }
  const parameters = definition["parameters"];
  if (parameters !== undefined && parameters !== null && !isJsonObject(parameters)) {
    throw invalidType(`${param}.function.parameters`, "an object", parameters);
  }
}

function validateResponseFormat(format: Json | undefined): void {
  if (format === undefined || format === null) {
    return;
  }
  if (!isJsonObject(format)) {
    throw invalidType("response_format", "an object", format);
  }
  const type = format["type"];
  if (type === undefined) {
    throw missingParameter("response_format.type");
  }
  if (typeof type !== "string") {
    throw invalidType("response_format.type", "a string", type);
  }
  if (!RESPONSE_FORMATS.includes(type)) {
    throw invalidValue("response_format.type", type, RESPONSE_FORMATS);
  }
  if (type !== "json_schema") {
    return;
  }
  const schema = format["json_schema"];
  if (schema === undefined) {
    throw missingParameter("response_format.json_schema");
  }
  if (!isJsonObject(schema)) {
    throw invalidType("response_format.json_schema", "an object", schema);
  }
  if (schema["schema"] !== undefined && !isJsonObject(schema["schema"])) {
    throw invalidType("response_format.json_schema.schema", "an object", schema["schema"]);
  }
}

/** Checks `stream_options`, which only a stream may have. Throws CodecError in OpenAI's words. */
export function validateStreamOptions(body: JsonObject): void {
  const options = body["stream_options"];
  if (options === undefined || options === null) {
    return;
  }
  if (!isJsonObject(options)) {
    throw invalidType("stream_options", "an object", options);
  }
  if (body["stream"] !== true) {
    throw brokenRule("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  }
  const includeUsage = options["include_usage"];
  if (includeUsage !== undefined && includeUsage !== null && typeof includeUsage !== "boolean") {
    throw invalidType("stream_options.include_usage", "a boolean", includeUsage);
  }
}

function validateMetadata(metadata: Json | undefined): void {
  if (metadata === undefined || metadata === null) {
    return;
  }
  if (!isJsonObject(metadata)) {
    throw invalidType("metadata", "an object", metadata);
  }
  const keys = Object.keys(metadata);
  if (keys.length > 16) {
    const message = `Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with ${keys.length} properties instead.`;
    throw brokenRule("metadata", message, "object_above_max_properties");
  }
  for (const key of keys) {
    if (key.length > 64) {
      throw stringTooLong("metadata", 64, key.length);
    }
    if (key === "__proto__") {
      throw brokenRule("metadata", "Invalid 'metadata': a property may not be named '__proto__'.");
    }
    const value = metadata[key];
    if (typeof value !== "string") {
      throw invalidType(`metadata.${key}`, "a string", value);
    }
    validateString(value, `metadata.${key}`, 512);
  }
}

function validateLogitBias(bias: Json | undefined): void {
  if (bias === undefined || bias === null) {
    return;
  }
  if (!isJsonObject(bias)) {
    throw invalidType("logit_bias", "an object", bias);
  }
  for (const [token, value] of Object.entries(bias)) {
    if (!/^\d{1,10}$/.test(token)) {
      throw brokenRule("logit_bias", "Invalid 'logit_bias': keys must be token ids.");
    }
    validateNumber(value, { field: `logit_bias.${token}`, minimum: -100, maximum: 100, integer: false });
  }
}
