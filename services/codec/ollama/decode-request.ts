import { create } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Message,
  type Part,
  type Reasoning,
  ReasoningSchema,
  type ResponseFormat,
  ResponseFormat_Kind,
  ResponseFormatSchema,
  Role,
  type Tool,
  ToolSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  fromBase64,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import {
  invalidValue,
  isJsonArray,
  isJsonObject,
  readArray,
  readInteger,
  readNumber,
  readObject,
  readString,
  readStrings,
  requireName,
  requireObject,
  requireString,
  wrongType,
} from "../json/json-fields.ts";
import { placeToolCallId } from "./tool-call-id.ts";

/** Reads a request. Throws CodecError for what Ollama would refuse. */
export function decodeRequest(body: JsonObject): ChatRequest {
  const model = requireName(body, "model", "");
  const messages = readArray(body, "messages", "") ?? [];
  if (messages.length === 0) {
    throw new CodecError("messages must not be empty", { param: "messages", code: "empty_array" });
  }
  const responseFormat = decodeFormat(body["format"] ?? undefined);
  const reasoning = decodeThink(body["think"] ?? undefined);
  return create(ChatRequestSchema, {
    model,
    messages: decodeMessages(messages),
    tools: decodeTools(body),
    ...decodeOptions(readObject(body, "options", "") ?? {}),
    ...(responseFormat === undefined ? {} : { responseFormat }),
    ...(reasoning === undefined ? {} : { reasoning }),
  });
}

function decodeMessages(messages: readonly Json[]): Message[] {
  /** Calls that have no result yet, in their order: results mostly name the tool only. */
  const open: { readonly id: string; readonly name: string }[] = [];
  let callCount = 0;

  function decodeCall(value: Json, path: string): Part {
    const call = requireObject(value, path);
    const called = requireObject(call["function"], `${path}.function`);
    const name = requireName(called, "name", `${path}.function`);
    const id = readString(call, "id", path) ?? placeToolCallId(callCount);
    callCount += 1;
    open.push({ id, name });
    const given = readObject(called, "arguments", `${path}.function`) ?? {};
    return toolCallPart({ id, name, argumentsJson: JSON.stringify(given) });
  }

  function decodeResult(said: JsonObject, path: string): Part {
    const name = readString(said, "tool_name", path) ?? readString(said, "name", path) ?? "";
    const given = readString(said, "tool_call_id", path);
    const named = open.findIndex((call) => (given === undefined ? call.name === name : call.id === given));
    const [answered] = named === -1 && given !== undefined ? [] : open.splice(Math.max(named, 0), 1);
    const toolCallId = given ?? answered?.id ?? placeToolCallId(callCount);
    const text = readString(said, "content", path) ?? "";
    return toolResultPart({ toolCallId, name, parts: text === "" ? [] : [textPart(text)] });
  }

  return messages.map((value, index) => {
    const path = `messages[${index}]`;
    const said = requireObject(value, path);
    switch (requireString(said, "role", path)) {
      case "system":
        return message(Role.SYSTEM, decodeSaid(said, path));
      case "user":
        return message(Role.USER, decodeSaid(said, path));
      case "assistant": {
        const thinking = readString(said, "thinking", path) ?? "";
        return message(Role.ASSISTANT, [
          ...(thinking === "" ? [] : [reasoningPart({ text: thinking })]),
          ...decodeSaid(said, path),
          ...(readArray(said, "tool_calls", path) ?? []).map((call, place) =>
            decodeCall(call, `${path}.tool_calls[${place}]`),
          ),
        ]);
      }
      case "tool":
        return message(Role.TOOL, [decodeResult(said, path)]);
      default:
        throw invalidValue(`${path}.role`, "must be system, user, assistant or tool");
    }
  });
}

function decodeSaid(said: JsonObject, path: string): Part[] {
  const text = readString(said, "content", path) ?? "";
  return [
    ...(text === "" ? [] : [textPart(text)]),
    ...readStrings(said, "images", path).map((image) => imagePart({ case: "data", value: fromBase64(image) }, "")),
  ];
}

function decodeTools(body: JsonObject): Tool[] {
  return (readArray(body, "tools", "") ?? []).map((value, index) => {
    const path = `tools[${index}].function`;
    const called = requireObject(requireObject(value, `tools[${index}]`)["function"], path);
    const parameters = readObject(called, "parameters", path);
    return create(ToolSchema, {
      name: requireName(called, "name", path),
      description: readString(called, "description", path) ?? "",
      parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
    });
  });
}

function decodeFormat(format: Json | undefined): ResponseFormat | undefined {
  if (format === undefined || format === "") {
    return undefined;
  }
  if (format === "json") {
    return create(ResponseFormatSchema, { kind: ResponseFormat_Kind.JSON_OBJECT });
  }
  if (!isJsonObject(format)) {
    throw invalidValue("format", "must be json or a JSON Schema");
  }
  // Ollama's schemas have no name, and OpenAI's need one.
  return create(ResponseFormatSchema, {
    kind: ResponseFormat_Kind.JSON_SCHEMA,
    name: "answer",
    schemaJson: JSON.stringify(format),
  });
}

function decodeThink(think: Json | undefined): Reasoning | undefined {
  switch (typeof think) {
    case "undefined":
      return undefined;
    case "boolean":
      return create(ReasoningSchema, think ? { budgetTokens: -1n } : { effort: "none" });
    case "string":
      return create(ReasoningSchema, { effort: think });
    default:
      throw wrongType("think", "a boolean or a word");
  }
}

type Options = Pick<
  ChatRequest,
  | "maxOutputTokens"
  | "temperature"
  | "topP"
  | "topK"
  | "seed"
  | "presencePenalty"
  | "frequencyPenalty"
  | "stopSequences"
>;

function decodeOptions(options: JsonObject): Options {
  const path = "options";
  const limit = readInteger(options, "num_predict", path);
  const temperature = readNumber(options, "temperature", path, { min: 0 });
  const topP = readNumber(options, "top_p", path, { min: 0, max: 1 });
  const topK = readInteger(options, "top_k", path, { min: 0 });
  const seed = readInteger(options, "seed", path);
  const presencePenalty = readNumber(options, "presence_penalty", path);
  const frequencyPenalty = readNumber(options, "frequency_penalty", path);
  const { stop } = options;
  return {
    stopSequences: typeof stop === "string" ? [stop] : isJsonArray(stop) ? [...readStrings(options, "stop", path)] : [],
    // Numbers below one mean no limit.
    ...(limit === undefined || limit < 1n ? {} : { maxOutputTokens: limit }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(seed === undefined ? {} : { seed }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
  };
}
