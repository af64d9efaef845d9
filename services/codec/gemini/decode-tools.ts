import { create } from "@bufbuild/protobuf";
import {
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
  ToolChoiceSchema,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  invalidValue,
  readObject,
  readString,
  readStrings,
  requireName,
  requireObject,
  unsupported,
} from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";
import { camelKeys, listOf } from "./google-json.ts";
import { toJsonSchema } from "./openapi-schema.ts";

const CALLING_CONFIG = "toolConfig.functionCallingConfig";

// What Gemini itself runs to know more: an answer without them is an answer.
const DISPENSABLE: ReadonlySet<string> = new Set([
  "googleSearch",
  "googleSearchRetrieval",
  "urlContext",
  "codeExecution",
]);

/**
 * Reads `tools`. Those that Gemini itself runs are left out and added to `dropped` where functions are left to call. Throws
 * CodecError (`unsupported_feature`) where none is, and for tools that nothing stands in for.
 */
export function decodeTools(request: JsonObject, dropped: Set<string>): Tool[] {
  const all = listOf(request["tools"] ?? [], "tools").map((value, index) =>
    camelKeys(requireObject(value, `tools[${index}]`)),
  );
  const isLeft = all.some((tool) => listOf(tool["functionDeclarations"] ?? [], "tools").length > 0);
  return all.flatMap((tool, index) => {
    const path = `tools[${index}]`;
    for (const own of Object.keys(tool).filter((key) => key !== "functionDeclarations")) {
      if (!isLeft || !DISPENSABLE.has(own)) {
        throw unsupported(`${path}.${own}`, "is a tool that only Gemini itself offers");
      }
      dropped.add(`tools.${own}`);
    }
    return listOf(tool["functionDeclarations"] ?? [], `${path}.functionDeclarations`).map((declaration, place) =>
      decodeDeclaration(declaration, `${path}.functionDeclarations[${place}]`),
    );
  });
}

/** Reads `toolConfig`, which may also leave only some of the tools; returns those that are left. */
export function decodeToolConfig(request: JsonObject, tools: Tool[]): { tools: Tool[]; toolChoice?: ToolChoice } {
  const toolConfig = camelKeys(readObject(request, "toolConfig", "") ?? {});
  const source = readObject(toolConfig, "functionCallingConfig", "toolConfig");
  if (source === undefined) {
    return { tools };
  }
  const config = camelKeys(source);
  const allowed = readStrings(config, "allowedFunctionNames", CALLING_CONFIG);
  const mode = (readString(config, "mode", CALLING_CONFIG) ?? "").toUpperCase();
  const left = allowed.length === 0 ? tools : tools.filter(({ name }) => allowed.includes(name));
  switch (mode) {
    case "":
    case "MODE_UNSPECIFIED":
      return { tools };
    // VALIDATED differs from AUTO only in that the arguments are sure to follow their schema.
    case "AUTO":
    case "VALIDATED":
      return { tools: left, toolChoice: create(ToolChoiceSchema, { mode: ToolChoice_Mode.AUTO }) };
    case "NONE":
      return { tools, toolChoice: create(ToolChoiceSchema, { mode: ToolChoice_Mode.NONE }) };
    case "ANY":
      return { tools: allowed.length === 1 ? tools : left, toolChoice: forceTool(allowed) };
    default:
      throw invalidValue(`${CALLING_CONFIG}.mode`, "must be AUTO, ANY, NONE or VALIDATED");
  }
}

function forceTool(allowed: readonly string[]): ToolChoice {
  const [toolName] = allowed;
  return allowed.length === 1 && toolName !== undefined
    ? create(ToolChoiceSchema, { mode: ToolChoice_Mode.NAMED, toolName })
    : create(ToolChoiceSchema, { mode: ToolChoice_Mode.REQUIRED });
}

function decodeDeclaration(value: Json, path: string): Tool {
  const declaration = camelKeys(requireObject(value, path));
  const jsonSchema = readObject(declaration, "parametersJsonSchema", path);
  const openApi = readObject(declaration, "parameters", path);
  const schema = jsonSchema ?? (openApi === undefined ? undefined : toJsonSchema(openApi));
  return create(ToolSchema, {
    name: requireName(declaration, "name", path),
    description: readString(declaration, "description", path) ?? "",
    parametersJson: schema === undefined ? "" : JSON.stringify(schema),
  });
}
