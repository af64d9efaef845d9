import { type Tool, type ToolChoice, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";
import { asArray, asBoolean, asObject, asString } from "../json/json-values.ts";
import { joinToolName, readCallName, TEXT_PARAMETERS } from "./tool-names.ts";

/** The tools of a request, and which of them may be called. */
export interface DecodedTools {
  readonly tools: Tool[];
  readonly choice: ToolChoice | undefined;
}

// What OpenAI's own servers run to know more, and what only saves tokens: an answer without them is an answer. Tools
// that read what the caller keeps at OpenAI, or that the caller runs in OpenAI's form, are not among them.
const DISPENSABLE = /^(?:web_search|web_search_preview|image_generation|code_interpreter|tool_search)(?:_\d[\d_]*)?$/;

/**
 * Reads tools and tool choice. A choice among some of the tools leaves the others out, which is what it says. Tools that
 * only OpenAI has are left out and added to `dropped` where others are left to call. Throws CodecError
 * (`unsupported_feature`) where none is, where such a tool must be called, and for tools that nothing stands in for.
 */
export function decodeTools(body: JsonObject, dropped: Set<string>): DecodedTools {
  const tools: Tool[] = [];
  const left: { readonly type: string; readonly param: string }[] = [];
  for (const [index, value] of asArray(body["tools"]).entries()) {
    const tool = asObject(value) ?? {};
    const type = asString(tool["type"]);
    const param = `tools[${index}]`;
    if (DISPENSABLE.test(type)) {
      left.push({ type, param });
    } else if (type === "namespace") {
      const namespace = asString(tool["name"]);
      for (const [at, inner] of asArray(tool["tools"]).entries()) {
        tools.push(decodeTool(asObject(inner) ?? {}, `${param}.tools[${at}]`, namespace));
      }
    } else {
      tools.push(decodeTool(tool, param, ""));
    }
  }
  const [first] = left;
  if (first !== undefined && tools.length === 0) {
    throw notAFunction(`${first.param}.type`, first.type);
  }
  for (const { type } of left) {
    dropped.add(`tools.${type}`);
  }
  return chooseTools(tools, body["tool_choice"]);
}

function chooseTools(tools: Tool[], choice: Json | undefined): DecodedTools {
  const selection = asObject(choice);
  if (selection?.["type"] !== "allowed_tools") {
    return { tools, choice: decodeToolChoice(choice) };
  }
  const names = new Set(asArray(selection["tools"]).flatMap((tool, index) => readAllowedName(tool, index)));
  const mode = selection["mode"] === "required" ? ToolChoice_Mode.REQUIRED : ToolChoice_Mode.AUTO;
  return { tools: tools.filter((tool) => names.has(tool.name)), choice: toolChoice(mode) };
}

function decodeTool(tool: JsonObject, param: string, namespace: string): Tool {
  const type = asString(tool["type"]);
  const name = asString(tool["name"]);
  if (type === "custom") {
    return {
      $typeName: "penstock.chat.v1.Tool",
      name: joinToolName({ namespace, name, takesText: true }),
      description: describeText(tool),
      parametersJson: TEXT_PARAMETERS,
    };
  }
  if (type !== "function") {
    throw notAFunction(`${param}.type`, type);
  }
  const parameters = asObject(tool["parameters"]);
  const strict = asBoolean(tool["strict"]);
  return {
    $typeName: "penstock.chat.v1.Tool",
    name: joinToolName({ namespace, name, takesText: false }),
    description: asString(tool["description"]),
    parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
    ...(strict === undefined ? {} : { strict }),
  };
}

/** The description, and the grammar that only OpenAI can hold a model to. */
function describeText(tool: JsonObject): string {
  const description = asString(tool["description"]);
  const format = asObject(tool["format"]);
  const definition = asString(format?.["definition"]);
  return definition === ""
    ? description
    : `${description}\n\nThe input follows this ${asString(format?.["syntax"])} grammar:\n${definition}`.trim();
}

function notAFunction(param: string, type: string) {
  return unsupported(param, `must be 'function' with this model, not '${type.slice(0, 64)}'`);
}

/** The name of a tool that may be called; none for one that was left out. */
function readAllowedName(value: Json, index: number): readonly string[] {
  const tool = asObject(value) ?? {};
  const type = asString(tool["type"]);
  if (DISPENSABLE.test(type)) {
    return [];
  }
  if (type !== "function" && type !== "custom") {
    throw unsupported(`tool_choice.tools[${index}].type`, "must be 'function' with this model");
  }
  return [readChosenName(tool)];
}

/** The name of the tool that a choice names. */
function readChosenName(selection: JsonObject): string {
  const type = selection["type"] === "custom" ? "custom_tool_call" : "function_call";
  return readCallName({ ...selection, type });
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
      if (selection?.["type"] !== "function" && selection?.["type"] !== "custom") {
        throw unsupported("tool_choice", "must name a function with this model");
      }
      return toolChoice(ToolChoice_Mode.NAMED, readChosenName(selection));
    }
  }
}

function toolChoice(mode: ToolChoice_Mode, toolName = ""): ToolChoice {
  return { $typeName: "penstock.chat.v1.ToolChoice", mode, toolName };
}
