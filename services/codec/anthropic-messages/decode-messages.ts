import { create } from "@bufbuild/protobuf";
import { type CacheControl, CacheControlSchema, type Message, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import {
  filePart,
  fromBase64,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
  withCacheControl,
} from "../chat/chat-parts.ts";
import {
  invalidValue,
  isJsonArray,
  missing,
  readBoolean,
  readObject,
  readString,
  requireName,
  requireObject,
  requireString,
  unsupported,
  wrongType,
} from "../json/json-fields.ts";
import { placeSignature } from "./part-signature.ts";

/** Reads `messages`. The tool results of a user turn become a message of the role tool, before the rest of the turn. */
export function decodeMessages(messages: readonly Json[]): Message[] {
  return messages.flatMap((value, index) => {
    const path = `messages[${index}]`;
    const source = requireObject(value, path);
    const role = requireString(source, "role", path);
    const content = readContent(source, path);
    switch (role) {
      case "user":
        return decodeUserTurn(content, path);
      case "assistant":
        return [message(Role.ASSISTANT, decodeAssistantTurn(content, path))];
      case "system":
        return [
          message(
            Role.SYSTEM,
            content.map((block, place) => decodeUserBlock(block, `${path}.content[${place}]`)),
          ),
        ];
      default:
        throw invalidValue(`${path}.role`, "must be user or assistant");
    }
  });
}

/** Reads the `cache_control` of a block or a tool. */
export function readCacheControl(block: JsonObject, path: string): CacheControl | undefined {
  const control = readObject(block, "cache_control", path);
  return control === undefined
    ? undefined
    : create(CacheControlSchema, { ttl: readString(control, "ttl", `${path}.cache_control`) ?? "" });
}

function readContent(source: JsonObject, path: string): readonly JsonObject[] {
  const content = source["content"];
  if (content === undefined || content === null) {
    throw missing(`${path}.content`);
  }
  if (typeof content === "string") {
    return content === "" ? [] : [{ type: "text", text: content }];
  }
  if (!isJsonArray(content)) {
    throw wrongType(`${path}.content`, "a string or an array");
  }
  return content.map((block, index) => requireObject(block, `${path}.content[${index}]`));
}

function decodeUserTurn(content: readonly JsonObject[], path: string): Message[] {
  const results: Part[] = [];
  const rest: Part[] = [];
  for (const [index, block] of content.entries()) {
    const place = `${path}.content[${index}]`;
    if (block["type"] === "tool_result") {
      results.push(decodeToolResult(block, place));
    } else {
      rest.push(decodeUserBlock(block, place));
    }
  }
  const messages: Message[] = [];
  if (results.length > 0) {
    messages.push(message(Role.TOOL, results));
  }
  if (rest.length > 0 || results.length === 0) {
    messages.push(message(Role.USER, rest));
  }
  return messages;
}

function decodeToolResult(block: JsonObject, path: string): Part {
  const content = block["content"] ?? undefined;
  const blocks = content === undefined ? [] : readContent(block, path);
  const result = toolResultPart({
    toolCallId: requireName(block, "tool_use_id", path),
    parts: blocks.map((inner, index) => decodeUserBlock(inner, `${path}.content[${index}]`)),
    isError: readBoolean(block, "is_error", path) ?? false,
  });
  return withCacheControl(result, readCacheControl(block, path));
}

function decodeUserBlock(block: JsonObject, path: string): Part {
  const part = decodeUserContent(block, path);
  return withCacheControl(part, readCacheControl(block, path));
}

function decodeUserContent(block: JsonObject, path: string): Part {
  const type = requireString(block, "type", path);
  switch (type) {
    case "text":
      return textPart(requireString(block, "text", path));
    case "image":
      return decodeImage(requireObject(block["source"], `${path}.source`), `${path}.source`);
    case "document":
      return decodeDocument(block, path);
    default:
      throw unsupported(path, `is a block of type ${type}, which cannot be translated`);
  }
}

function decodeImage(source: JsonObject, path: string): Part {
  switch (requireString(source, "type", path)) {
    case "base64":
      return imagePart(
        { case: "data", value: fromBase64(requireString(source, "data", path)) },
        requireString(source, "media_type", path),
      );
    case "url":
      return imagePart({ case: "url", value: requireName(source, "url", path) }, "");
    default:
      throw unsupported(path, "must be base64 or url to be translated");
  }
}

function decodeDocument(block: JsonObject, path: string): Part {
  const source = requireObject(block["source"], `${path}.source`);
  const place = `${path}.source`;
  const title = readString(block, "title", path) ?? "";
  switch (requireString(source, "type", place)) {
    case "base64": {
      const data = fromBase64(requireString(source, "data", place));
      return filePart({ case: "data", value: data }, requireString(source, "media_type", place), title);
    }
    case "text": {
      const data = new TextEncoder().encode(requireString(source, "data", place));
      return filePart({ case: "data", value: data }, readString(source, "media_type", place) ?? "text/plain", title);
    }
    case "url":
      return filePart({ case: "url", value: requireName(source, "url", place) }, "application/pdf", title);
    case "file":
      return filePart({ case: "fileId", value: requireName(source, "file_id", place) }, "", title);
    default:
      throw unsupported(place, "must be base64, text, url or file to be translated");
  }
}

function decodeAssistantTurn(content: readonly JsonObject[], path: string): Part[] {
  const parts: Part[] = [];
  let nextSignature = "";
  for (const [index, block] of content.entries()) {
    const place = `${path}.content[${index}]`;
    if (block["type"] === "thinking") {
      const { place: belongs, signature } = placeSignature(readString(block, "signature", place) ?? "");
      const text = requireString(block, "thinking", place);
      if (belongs === "thought") {
        parts.push(reasoningPart({ text, signature }));
        continue;
      }
      if (text !== "") {
        parts.push(reasoningPart({ text }));
      }
      if (belongs === "next") {
        nextSignature = signature;
      } else {
        signLastText(parts, signature);
      }
      continue;
    }
    parts.push(decodeAssistantBlock(block, place, nextSignature));
    nextSignature = "";
  }
  return parts;
}

function decodeAssistantBlock(block: JsonObject, path: string, signature: string): Part {
  switch (requireString(block, "type", path)) {
    case "text":
      return withCacheControl(textPart(requireString(block, "text", path), signature), readCacheControl(block, path));
    case "tool_use": {
      const call = toolCallPart({
        id: requireName(block, "id", path),
        name: requireName(block, "name", path),
        argumentsJson: JSON.stringify(requireObject(block["input"], `${path}.input`)),
        signature,
      });
      return withCacheControl(call, readCacheControl(block, path));
    }
    case "redacted_thinking":
      return reasoningPart({ redactedData: requireString(block, "data", path) });
    default:
      return decodeUserBlock(block, path);
  }
}

/** Puts back the signature of a text; where the client dropped an empty text, a new one carries it. */
function signLastText(parts: Part[], signature: string): void {
  const last = parts.at(-1);
  if (last?.content.case === "text") {
    last.content.value.signature = signature;
  } else {
    parts.push(textPart("", signature));
  }
}
