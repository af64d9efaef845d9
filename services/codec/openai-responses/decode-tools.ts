import { type Tool, type ToolChoice, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";
import { asArray, asBoolean, asObject, asString } from "../json/json-values.ts";

/** The tools of a request, and which of them may be called. */
export interface DecodedTools {
  readonly tools: Tool[];
  readonly choice: ToolChoice | undefined;
}

/**
 * Reads tools and tool choice. A choice among some of the tools leaves the others out, which is what it says. Throws
 * CodecError (`unsupported_feature`) for tools that the provider itself would run.
 */
export function decodeTools(body: JsonObject): DecodedTools {
  const tools = asArray(body["tools"]).map((tool, index) => decodeTool(asObject(tool) ?? {}, `tools[${index}]`));
  const choice = body["tool_choice"];
  const selection = asObject(choice);
  if (selection?.["type"] !== "allowed_tools") {
    return { tools, choice: decodeToolChoice(choice) };
  }
  const names = new Set(asArray(selection["tools"]).map((tool, index) => readAllowedName(tool, index)));
  const mode = selection["mode"] === "required" ? ToolChoice_Mode.REQUIRED : ToolChoice_Mode.AUTO;
  return { tools: tools.filter((tool) => names.has(tool.name)), choice: toolChoice(mode) };
}

function decodeTool(tool: JsonObject, param: string): Tool {
  const type = asString(tool["type"]);
  if (type !== "function") {
    throw unsupported(`${param}.type`, `must be 'function' with this model, not '${type.slice(0, 64)}'`);
  }
  const parameters = asObject(tool["parameters"]);
  const strict = asBoolean(tool["strict"]);
  return {
    $typeName: "penstock.chat.v1.Tool",
    name: asString(tool["name"]),
    description: asString(tool["description"]),
    parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
    ...(strict === undefined ? {} : { strict }),
  };
}

function readAllowedName(value: Json, index: number): string {
  const tool = asObject(value);
  if (tool?.["type"] !== "function") {
    throw unsupported(`tool_choice.tools[${index}].type`, "must be 'function' with this model");
  }
  return asString(tool["name"]);
}

function decodeToolChoice(choice: Json | undefined): ToolChoice | undefined {
  switch (choice) {
    case undefined:
    case null:
      return undefined;
    case "auto":
      return toolChoice(ToolChoice_Mode.AUTO);
    case "none":
      return toolChoice(ToolChoice_Mode.NONE);
    case "required":
      return toolChoice(ToolChoice_Mode.REQUIRED);
    default: {
      const selection = asObject(choice);
      if (selection?.["type"] !== "function") {
        throw unsupported("tool_choice", "must name a function with this model");
      }
      return toolChoice(ToolChoice_Mode.NAMED, asString(selection["name"]));
    }
  }
}

function toolChoice(mode: ToolChoice_Mode, toolName = ""): ToolChoice {
  return { $typeName: "penstock.chat.v1.ToolChoice", mode, toolName };
}
