import { type ChatRequest, type Tool, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { readClaudeVersion } from "../anthropic-messages/encode-reasoning.ts";
import type { Json, JsonObject } from "../codec.ts";
import { parseJsonObject } from "../json/json-fields.ts";
import { type Drop, encodeCachePoint } from "./encode-messages.ts";
import type { ModelFamily } from "./model-family.ts";

/** Tools in Converse's form. */
export interface EncodedTools {
  /** The value of `toolConfig`; undefined leaves it out. */
  readonly toolConfig: JsonObject | undefined;
  /** True when no tool may be called and tools have to be named all the same: Converse has no word for that. */
  readonly mustNotCall: boolean;
}

/**
 * Writes `toolConfig`. A conversation with calls or results needs one, also where the caller offers no tool any more:
 * then the tools that were called stand in it.
 */
export function encodeTools(request: ChatRequest, model: string, family: ModelFamily, drop: Drop): EncodedTools {
  const mode = request.toolChoice?.mode;
  const called = listCalled(request);
  const isNone = mode === ToolChoice_Mode.NONE;
  if (called === undefined && (isNone || request.tools.length === 0)) {
    return { toolConfig: undefined, mustNotCall: false };
  }
  const offered = request.tools.length > 0;
  const tools = offered
    ? request.tools.flatMap((tool, index) => [
        encodeTool(tool, `tools[${index}].function.parameters`, model, family, drop),
        ...encodeCachePoint(tool.cacheControl, family, drop),
      ])
    : [...(called ?? [])].map((name) => ({ toolSpec: { name, inputSchema: { json: { type: "object" } } } }));
  const toolChoice = offered ? encodeToolChoice(request) : undefined;
  return {
    toolConfig: { tools, ...(toolChoice === undefined ? {} : { toolChoice }) },
    mustNotCall: isNone || !offered,
  };
}

function encodeTool(tool: Tool, path: string, model: string, family: ModelFamily, drop: Drop): JsonObject {
  const takesStrict = family === "claude" && (readClaudeVersion(model) ?? 0) >= 4.05;
  if (tool.strict === true && !takesStrict) {
    drop("tools.strict");
  }
  return {
    toolSpec: {
      name: tool.name,
      // Bedrock refuses an empty description.
      ...(tool.description === "" ? {} : { description: tool.description }),
      inputSchema: { json: encodeParameters(tool, path, family, drop) },
      ...(tool.strict === true && takesStrict ? { strict: true } : {}),
    },
  };
}

function encodeParameters(tool: Tool, path: string, family: ModelFamily, drop: Drop): JsonObject {
  if (tool.parametersJson === "") {
    return { type: "object", properties: {} };
  }
  const schema: Record<string, Json | undefined> = { ...parseJsonObject(tool.parametersJson, path) };
  if (family === "claude") {
    // One tool with such a keyword at the top makes the whole request be refused.
    for (const keyword of ["oneOf", "anyOf", "allOf"]) {
      if (schema[keyword] !== undefined) {
        delete schema[keyword];
        drop(`tools.parameters.${keyword}`);
      }
    }
  }
  return { ...schema, type: "object" };
}

function encodeToolChoice({ toolChoice }: ChatRequest): JsonObject | undefined {
  switch (toolChoice?.mode) {
    case ToolChoice_Mode.AUTO:
      return { auto: {} };
    case ToolChoice_Mode.REQUIRED:
      return { any: {} };
    case ToolChoice_Mode.NAMED:
      return { tool: { name: toolChoice.toolName } };
    default:
      return undefined;
  }
}

/** The tools that the conversation has calls of, or a stand-in where it has results only; undefined where it has none. */
function listCalled(request: ChatRequest): ReadonlySet<string> | undefined {
  const names = new Set<string>();
  let hasResults = false;
  for (const message of request.messages) {
    for (const { content } of message.parts) {
      if (content.case === "toolCall") {
        names.add(content.value.name);
      } else if (content.case === "toolResult") {
        hasResults = true;
      }
    }
  }
  if (names.size > 0) {
    return names;
  }
  return hasResults ? new Set(["tool"]) : undefined;
}
