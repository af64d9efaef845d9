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
  ToolChoice_Mode,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import {
  invalidValue,
  missing,
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
import { decodeMessages } from "./decode-messages.ts";

const CHOICES: ReadonlyMap<string, ToolChoice_Mode> = new Map([
  ["REQUIRED", ToolChoice_Mode.REQUIRED],
  ["NONE", ToolChoice_Mode.NONE],
]);

/** Reads a Cohere request. Throws CodecError for what Cohere would refuse, and for documents, which only Cohere cites. */
export function decodeRequest(body: JsonObject): ChatRequest {
  const model = requireName(body, "model", "");
  const messages = readArray(body, "messages", "");
  if (messages === undefined) {
    throw missing("messages");
  }
  if (messages.length === 0) {
    throw new CodecError("messages must not be empty", { param: "messages", code: "empty_array" });
  }
  if ((readArray(body, "documents", "") ?? []).length > 0) {
    throw unsupported("documents", "are only available from Cohere itself");
  }
  const choice = readString(body, "tool_choice", "");
  const mode = choice === undefined ? undefined : CHOICES.get(choice);
  if (choice !== undefined && mode === undefined) {
    throw invalidValue("tool_choice", "must be REQUIRED or NONE");
  }
  const responseFormat = decodeResponseFormat(body);
  const reasoning = decodeReasoning(body);
  return create(ChatRequestSchema, {
    model,
    messages: decodeMessages(messages),
    tools: decodeTools(body),
    stopSequences: [...readStrings(body, "stop_sequences", "")],
    ...decodeSampling(body),
    ...(mode === undefined ? {} : { toolChoice: { mode } }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
  });
}

type Sampling = Pick<
  ChatRequest,
  "maxOutputTokens" | "temperature" | "topP" | "topK" | "seed" | "presencePenalty" | "frequencyPenalty"
>;

function decodeSampling(body: JsonObject): Sampling {
  const maxOutputTokens = readInteger(body, "max_tokens", "", { min: 1 });
  const temperature = readNumber(body, "temperature", "", { min: 0 });
  const topP = readNumber(body, "p", "", { min: 0, max: 1 });
  const topK = readInteger(body, "k", "", { min: 0 });
  const seed = readInteger(body, "seed", "");
  const presencePenalty = readNumber(body, "presence_penalty", "");
  const frequencyPenalty = readNumber(body, "frequency_penalty", "");
  return {
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(seed === undefined ? {} : { seed }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
  };
}

function decodeTools(body: JsonObject): Tool[] {
  const strict = readBoolean(body, "strict_tools", "");
  return (readArray(body, "tools", "") ?? []).map((value, index) => {
    const path = `tools[${index}].function`;
    const called = requireObject(requireObject(value, `tools[${index}]`)["function"], path);
    const parameters = readObject(called, "parameters", path);
    return create(ToolSchema, {
      name: requireName(called, "name", path),
      description: readString(called, "description", path) ?? "",
      parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
      ...(strict === undefined ? {} : { strict }),
    });
  });
}

function decodeResponseFormat(body: JsonObject): ResponseFormat | undefined {
  const format = readObject(body, "response_format", "");
  if (format === undefined) {
    return undefined;
  }
  const path = "response_format";
  switch (requireString(format, "type", path)) {
    case "text":
      return create(ResponseFormatSchema, { kind: ResponseFormat_Kind.TEXT });
    case "json_object": {
      const schema = readObject(format, "json_schema", path) ?? readObject(format, "schema", path);
      return schema === undefined
        ? create(ResponseFormatSchema, { kind: ResponseFormat_Kind.JSON_OBJECT })
        : create(ResponseFormatSchema, {
            kind: ResponseFormat_Kind.JSON_SCHEMA,
            // Cohere's schemas have no name, and OpenAI's need one.
            name: "response",
            schemaJson: JSON.stringify(schema),
          });
    }
    default:
      throw invalidValue(`${path}.type`, "must be text or json_object");
  }
}

function decodeReasoning(body: JsonObject): Reasoning | undefined {
  const thinking = readObject(body, "thinking", "");
  if (thinking === undefined) {
    return undefined;
  }
  switch (requireString(thinking, "type", "thinking")) {
    case "disabled":
      return create(ReasoningSchema, { effort: "none" });
    case "enabled":
      return create(ReasoningSchema, {
        budgetTokens: readInteger(thinking, "token_budget", "thinking", { min: 0 }) ?? -1n,
      });
    default:
      throw invalidValue("thinking.type", "must be enabled or disabled");
  }
}
