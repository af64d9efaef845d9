import { create } from "@bufbuild/protobuf";
import {
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
  ToolChoiceSchema,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { readCacheControl } from "./decode-messages.ts";
import {
  invalidValue,
  readArray,
  readBoolean,
  readObject,
  readString,
  requireName,
  requireObject,
  requireString,
  unsupported,
} from "../json/json-fields.ts";

/** Reads `tools`. Throws CodecError (`unsupported_feature`) for a tool that Anthropic's own servers run. */
export function decodeTools(body: JsonObject): Tool[] {
  return (readArray(body, "tools", "") ?? []).map((value, index) => {
    const path = `tools[${index}]`;
    const tool = requireObject(value, path);
    const type = readString(tool, "type", path) ?? "custom";
    if (type !== "custom") {
      throw unsupported(path, `is a tool of type ${type}, which only Anthropic itself offers`);
    }
    const strict = readBoolean(tool, "strict", path);
    const cacheControl = readCacheControl(tool, path);
    return create(ToolSchema, {
      name: requireName(tool, "name", path),
      description: readString(tool, "description", path) ?? "",
      parametersJson: JSON.stringify(requireObject(tool["input_schema"], `${path}.input_schema`)),
      ...(strict === undefined ? {} : { strict }),
      ...(cacheControl === undefined ? {} : { cacheControl }),
    });
  });
}

/** Reads `tool_choice`, which also says whether tools may be called in parallel. */
export function decodeToolChoice(body: JsonObject): { toolChoice?: ToolChoice; parallelToolCalls?: boolean } {
  const choice = readObject(body, "tool_choice", "");
  if (choice === undefined) {
    return {};
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
