import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Reasoning,
  ReasoningSchema,
  type ResponseFormat,
  ResponseFormat_Kind,
  ResponseFormatSchema,
  type Tool,
  type ToolChoice,
  ToolChoice_Mode,
  ToolChoiceSchema,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import {
  readArray,
  readBoolean,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  requireName,
  requireObject,
  requireString,
  unsupported,
} from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";
import { decodeCachePoint } from "./decode-cache-point.ts";
import { decodeMessages } from "./decode-messages.ts";

/**
 * Reads a request. Its model is in the path, so `model` is empty. Throws CodecError for what Bedrock would refuse, for
 * guardrails and prompts of Bedrock, and for tools that it runs itself: no other provider has them.
 */
export function decodeRequest(body: JsonObject): ChatRequest {
  for (const own of ["guardrailConfig", "promptVariables"]) {
    if ((body[own] ?? undefined) !== undefined) {
      throw unsupported(own, "is only available from Bedrock itself");
    }
  }
  const messages = readArray(body, "messages", "") ?? [];
  if (messages.length === 0) {
    throw new CodecError("messages must not be empty", { param: "messages", code: "empty_array" });
  }
  const inference = readObject(body, "inferenceConfig", "") ?? {};
  const fields = readObject(body, "additionalModelRequestFields", "") ?? {};
  const toolConfig = readObject(body, "toolConfig", "") ?? {};
  const toolChoice = decodeToolChoice(toolConfig);
  const responseFormat = decodeResponseFormat(body);
  const reasoning = decodeReasoning(fields);
  return create(ChatRequestSchema, {
    messages: decodeMessages(messages, readArray(body, "system", "") ?? []),
    tools: decodeTools(toolConfig),
    stopSequences: [...readStrings(inference, "stopSequences", "inferenceConfig")],
    metadata: decodeMetadata(body),
    serviceTier: readString(readObject(body, "serviceTier", "") ?? {}, "type", "serviceTier") ?? "",
    ...decodeSampling(inference, fields),
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
  });
}

function decodeSampling(
  inference: JsonObject,
  fields: JsonObject,
): Pick<ChatRequest, "maxOutputTokens" | "temperature" | "topP" | "topK"> {
  const maxOutputTokens = readInteger(inference, "maxTokens", "inferenceConfig", { min: 1 });
  const temperature = readNumber(inference, "temperature", "inferenceConfig", { min: 0 });
  const topP = readNumber(inference, "topP", "inferenceConfig", { min: 0, max: 1 });
  const path = "additionalModelRequestFields";
  const topK =
    readInteger(fields, "top_k", path, { min: 0 }) ??
    readInteger(asObject(fields["inferenceConfig"]) ?? {}, "topK", `${path}.inferenceConfig`, { min: 0 });
  return {
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
  };
}

function decodeTools(toolConfig: JsonObject): Tool[] {
  const tools: Tool[] = [];
  for (const [index, value] of (readArray(toolConfig, "tools", "toolConfig") ?? []).entries()) {
    const path = `toolConfig.tools[${index}]`;
    const tool = requireObject(value, path);
    const mark = decodeCachePoint(tool, path);
    if (mark !== undefined) {
      const last = tools.at(-1);
      if (last !== undefined) {
        last.cacheControl = mark;
      }
    } else if (tool["toolSpec"] === undefined) {
      throw unsupported(path, "is a tool that only Bedrock runs");
    } else {
      tools.push(decodeTool(requireObject(tool["toolSpec"], `${path}.toolSpec`), `${path}.toolSpec`));
    }
  }
  return tools;
}

function decodeTool(spec: JsonObject, path: string): Tool {
  const strict = readBoolean(spec, "strict", path);
  const schema = readObject(requireObject(spec["inputSchema"], `${path}.inputSchema`), "json", `${path}.inputSchema`);
  return create(ToolSchema, {
    name: requireName(spec, "name", path),
    description: readString(spec, "description", path) ?? "",
    parametersJson: schema === undefined ? "" : JSON.stringify(schema),
    ...(strict === undefined ? {} : { strict }),
  });
}

function decodeToolChoice(toolConfig: JsonObject): ToolChoice | undefined {
  const choice = readObject(toolConfig, "toolChoice", "toolConfig");
  if (choice === undefined) {
    return undefined;
  }
  if (choice["any"] !== undefined) {
    return create(ToolChoiceSchema, { mode: ToolChoice_Mode.REQUIRED });
  }
  const path = "toolConfig.toolChoice";
  const tool = readObject(choice, "tool", path);
  return create(
    ToolChoiceSchema,
    tool === undefined
      ? { mode: ToolChoice_Mode.AUTO }
      : { mode: ToolChoice_Mode.NAMED, toolName: requireName(tool, "name", `${path}.tool`) },
  );
}

function decodeResponseFormat(body: JsonObject): ResponseFormat | undefined {
  const format = readObject(readObject(body, "outputConfig", "") ?? {}, "textFormat", "outputConfig");
  if (format === undefined) {
    return undefined;
  }
  const path = "outputConfig.textFormat.structure";
  const schema = requireObject(requireObject(format["structure"], path)["jsonSchema"], `${path}.jsonSchema`);
  return create(ResponseFormatSchema, {
    kind: ResponseFormat_Kind.JSON_SCHEMA,
    name: readString(schema, "name", `${path}.jsonSchema`) ?? "",
    description: readString(schema, "description", `${path}.jsonSchema`) ?? "",
    schemaJson: requireString(schema, "schema", `${path}.jsonSchema`),
  });
}

/** How much to think, in the spellings of the makers. */
function decodeReasoning(fields: JsonObject): Reasoning | undefined {
  const path = "additionalModelRequestFields";
  const thinking = asObject(fields["thinking"]);
  const config = asObject(fields["reasoningConfig"]);
  const effort =
    readString(fields, "reasoning_effort", path) ?? readString(asObject(fields["output_config"]) ?? {}, "effort", path);
  if (thinking?.["type"] === "disabled" || config?.["type"] === "disabled") {
    return create(ReasoningSchema, { effort: "none" });
  }
  if (thinking !== undefined) {
    const budgetTokens = readInteger(thinking, "budget_tokens", `${path}.thinking`, { min: 1 });
    const isAdaptive = thinking["type"] === "adaptive";
    const { display } = thinking;
    return create(ReasoningSchema, {
      effort: effort ?? "",
      ...(budgetTokens !== undefined
        ? { budgetTokens }
        : isAdaptive && effort === undefined
          ? { budgetTokens: -1n }
          : {}),
      ...(display === undefined ? {} : { includeThoughts: display !== "omitted" }),
    });
  }
  const level = effort ?? readString(config ?? {}, "maxReasoningEffort", `${path}.reasoningConfig`);
  return level === undefined ? undefined : create(ReasoningSchema, { effort: level });
}

function decodeMetadata(body: JsonObject): Record<string, string> {
  const metadata: Record<string, string> = {};
  const given = readObject(body, "requestMetadata", "") ?? {};
  for (const key of Object.keys(given)) {
    metadata[key] = requireString(given, key, "requestMetadata");
  }
  return metadata;
}
