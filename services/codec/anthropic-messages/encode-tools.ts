import { type ChatRequest, type Tool, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { encodeCacheControl } from "./encode-cache-control.ts";
import { isJsonArray, isJsonObject, parseJson, parseJsonObject } from "../json/json-fields.ts";

/** Writes `tools`. `drop` is told what had to be left out. */
export function encodeTools(tools: readonly Tool[], drop: (param: string) => void): JsonObject[] {
  return tools.map((tool, index) => ({
    name: tool.name,
    ...(tool.description === "" ? {} : { description: tool.description }),
    input_schema: encodeParameters(tool, `tools[${index}].function.parameters`, drop),
    ...(tool.strict === undefined ? {} : { strict: tool.strict }),
    ...encodeCacheControl(tool.cacheControl),
  }));
}

/** Writes `tool_choice`; undefined leaves it out. */
export function encodeToolChoice(request: ChatRequest): JsonObject | undefined {
  const choice = encodeMode(request);
  // A limit to one call needs a choice to stand in, and means nothing without tools.
  if (request.parallelToolCalls !== false || request.tools.length === 0 || choice?.["type"] === "none") {
    return choice;
  }
  return { ...(choice ?? { type: "auto" }), disable_parallel_tool_use: true };
}

/** Writes a schema for answers: every object in it is closed, because Anthropic refuses open ones. */
export function encodeAnswerSchema(schemaJson: string, path: string): Json {
  return closeObjects(parseJson(schemaJson === "" ? "{}" : schemaJson, path));
}

function encodeMode(request: ChatRequest): JsonObject | undefined {
  switch (request.toolChoice?.mode) {
    case ToolChoice_Mode.AUTO:
      return { type: "auto" };
    case ToolChoice_Mode.NONE:
      return { type: "none" };
    case ToolChoice_Mode.REQUIRED:
      return { type: "any" };
    case ToolChoice_Mode.NAMED:
      return { type: "tool", name: request.toolChoice.toolName };
    default:
      return undefined;
  }
}

function encodeParameters(tool: Tool, path: string, drop: (param: string) => void): JsonObject {
  if (tool.parametersJson === "") {
    return { type: "object", properties: {} };
  }
  const schema: Record<string, Json | undefined> = { ...parseJsonObject(tool.parametersJson, path) };
  // One tool with such a keyword at the top makes Anthropic refuse the whole request.
  for (const keyword of ["oneOf", "anyOf", "allOf"]) {
    if (schema[keyword] !== undefined) {
      delete schema[keyword];
      drop(`tools.parameters.${keyword}`);
    }
  }
  return { ...schema, type: "object" };
}

function closeObjects(schema: Json): Json {
  if (isJsonArray(schema)) {
    return schema.map(closeObjects);
  }
  if (!isJsonObject(schema)) {
    return schema;
  }
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closeIn(key, value)]));
  const { type, properties } = schema;
  const open = (type === "object" || (type === undefined && properties !== undefined)) && isOpen(schema);
  return open ? { ...closed, additionalProperties: false } : closed;
}

/** Values that are examples of data, not schemas, stay as they are. */
function closeIn(keyword: string, value: Json | undefined): Json | undefined {
  if (value === undefined || ["const", "enum", "default", "examples", "required"].includes(keyword)) {
    return value;
  }
  if ((keyword === "properties" || keyword === "$defs" || keyword === "definitions") && isJsonObject(value)) {
    // The keys here are names that somebody chose, so `default` is a property and not the keyword.
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, inner === undefined ? inner : closeObjects(inner)]),
    );
  }
  return closeObjects(value);
}

function isOpen(schema: JsonObject): boolean {
  return schema["additionalProperties"] === undefined;
}
