import { type Message, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  fromBase64,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import {
  invalidValue,
  isJsonArray,
  readArray,
  readString,
  requireName,
  requireObject,
  requireString,
  wrongType,
} from "../json/json-fields.ts";
import { normalizeArguments } from "./decode-response.ts";

const DATA_URL = /^data:([^;,]*)(?:;[^;,]*)*;base64,/;

/** Reads the conversation. Throws CodecError for what Cohere would refuse. */
export function decodeMessages(messages: readonly Json[]): Message[] {
  return messages.map((value, index) => {
    const path = `messages[${index}]`;
    return decodeMessage(requireObject(value, path), path);
  });
}

function decodeMessage(value: JsonObject, path: string): Message {
  switch (requireString(value, "role", path)) {
    case "system":
      return message(Role.SYSTEM, decodeContent(value, path));
    case "user":
      return message(Role.USER, decodeContent(value, path));
    case "assistant":
      return message(Role.ASSISTANT, decodeAssistant(value, path));
    case "tool":
      return message(Role.TOOL, [
        toolResultPart({ toolCallId: requireName(value, "tool_call_id", path), parts: decodeContent(value, path) }),
      ]);
    default:
      throw invalidValue(`${path}.role`, "must be system, user, assistant or tool");
  }
}

function decodeAssistant(value: JsonObject, path: string): Part[] {
  const plan = readString(value, "tool_plan", path) ?? "";
  const calls = readArray(value, "tool_calls", path) ?? [];
  return [
    ...decodeContent(value, path),
    ...(plan === "" ? [] : [textPart(plan)]),
    ...calls.map((call, index) => {
      const place = `${path}.tool_calls[${index}]`;
      return decodeCall(requireObject(call, place), place);
    }),
  ];
}

function decodeCall(call: JsonObject, path: string): Part {
  const called = requireObject(call["function"], `${path}.function`);
  return toolCallPart({
    id: requireName(call, "id", path),
    name: requireName(called, "name", `${path}.function`),
    argumentsJson: normalizeArguments(readString(called, "arguments", `${path}.function`) ?? ""),
  });
}

function decodeContent(value: JsonObject, path: string): Part[] {
  const content = value["content"] ?? "";
  if (typeof content === "string") {
    return content === "" ? [] : [textPart(content)];
  }
  if (!isJsonArray(content)) {
    throw wrongType(`${path}.content`, "a string or an array");
  }
  return content.flatMap((block, index) => {
    const place = `${path}.content[${index}]`;
    return decodeBlock(requireObject(block, place), place);
  });
}

function decodeBlock(block: JsonObject, path: string): Part[] {
  switch (requireString(block, "type", path)) {
    case "text": {
      const text = requireString(block, "text", path);
      return text === "" ? [] : [textPart(text)];
    }
    case "thinking":
      return [reasoningPart({ text: requireString(block, "thinking", path) })];
    case "image_url":
      return [decodeImage(requireObject(block["image_url"], `${path}.image_url`), `${path}.image_url`)];
    case "document": {
      // Only Cohere cites documents; to others their data is text.
      const document = requireObject(block["document"], `${path}.document`);
      const data = document["data"] ?? "";
      return [textPart(typeof data === "string" ? data : JSON.stringify(data))];
    }
    default:
      throw invalidValue(`${path}.type`, "must be text, thinking, image_url or document");
  }
}

function decodeImage(image: JsonObject, path: string): Part {
  const url = requireName(image, "url", path);
  const match = DATA_URL.exec(url);
  const part =
    match === null
      ? imagePart({ case: "url", value: url }, "")
      : imagePart({ case: "data", value: fromBase64(url.slice(match[0].length)) }, match[1] ?? "");
  const detail = readString(image, "detail", path);
  if (detail !== undefined && part.content.case === "image") {
    part.content.value.detail = detail;
  }
  return part;
}
