import { create } from "@bufbuild/protobuf";
import {
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
  ToolChoiceSchema,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { readCacheControl } from "./decode-messages.ts";
import {
  invalidValue,
  isJsonObject,
  readArray,
  readBoolean,
  readObject,
  readString,
  requireName,
  requireObject,
  requireString,
  unsupported,
} from "../json/json-fields.ts";

// What Anthropic's own servers run to know more, and what only saves tokens: an answer without them is an answer.
const DISPENSABLE = /^(?:web_search|web_fetch|code_execution|tool_search_tool_[a-z0-9]+)_\d{8}$/;

/**
 * Reads `tools`. Those that Anthropic's own servers run are left out and added to `dropped` where others are left to call.
 * Throws CodecError (`unsupported_feature`) where none is, and for tools that nothing stands in for.
 */
export function decodeTools(body: JsonObject, dropped: Set<string>): Tool[] {
  const all = readArray(body, "tools", "") ?? [];
  const isLeft = all.some((value) => !DISPENSABLE.test(typeOf(value)));
  return all.flatMap((value, index) => {
    const path = `tools[${index}]`;
    const tool = requireObject(value, path);
    const type = readString(tool, "type", path) ?? "custom";
    if (isLeft && DISPENSABLE.test(type)) {
      dropped.add(`tools.${type}`);
      return [];
    }
    if (type !== "custom") {
      throw unsupported(path, `is a tool of type ${type}, which only Anthropic itself offers`);
    }
    const strict = readBoolean(tool, "strict", path);
    const cacheControl = readCacheControl(tool, path);
    return [
      create(ToolSchema, {
        name: requireName(tool, "name", path),
        description: readString(tool, "description", path) ?? "",
        parametersJson: JSON.stringify(requireObject(tool["input_schema"], `${path}.input_schema`)),
        ...(strict === undefined ? {} : { strict }),
        ...(cacheControl === undefined ? {} : { cacheControl }),
      }),
    ];
  });
}

function isDropped(body: JsonObject, name: string): boolean {
  const all = readArray(body, "tools", "") ?? [];
  return all.some((tool) => isJsonObject(tool) && tool["name"] === name && DISPENSABLE.test(typeOf(tool)));
}

function typeOf(tool: Json): string {
  return isJsonObject(tool) && typeof tool["type"] === "string" ? tool["type"] : "custom";
}

/**
 * Reads `tool_choice`, which also says whether tools may be called in parallel. Throws CodecError for the choice of a tool
 * that was left out.
 */
export function decodeToolChoice(
  body: JsonObject,
  tools: readonly Tool[],
): { toolChoice?: ToolChoice; parallelToolCalls?: boolean } {
  const choice = readObject(body, "tool_choice", "");
  if (choice === undefined) {
    return {};
  }
  const name = choice["type"] === "tool" ? choice["name"] : undefined;
  if (typeof name === "string" && isDropped(body, name) && tools.every((tool) => tool.name !== name)) {
    throw unsupported("tool_choice.name", "names a tool which only Anthropic itself offers");
  }
  const disabled = readBoolean(choice, "disable_parallel_tool_use", "tool_choice");
  return {
    toolChoice: decodeChoice(choice),
    ...(disabled === undefined ? {} : { parallelToolCalls: !disabled }),
  };
}

function decodeChoice(choice: JsonObject): ToolChoice {
  switch (requireString(choice, "type", "tool_choice")) {
    case "auto":
      return create(ToolChoiceSchema, { mode: ToolChoice_Mode.AUTO });
    case "any":
      return create(ToolChoiceSchema, { mode: ToolChoice_Mode.REQUIRED });
    case "none":
      return create(ToolChoiceSchema, { mode: ToolChoice_Mode.NONE });
    case "tool":
      return create(ToolChoiceSchema, {
        mode: ToolChoice_Mode.NAMED,
        toolName: requireName(choice, "name", "tool_choice"),
      });
    default:
      throw invalidValue("tool_choice.type", "must be auto, any, tool or none");
  }
}
