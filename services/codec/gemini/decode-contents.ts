import { type Message, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  audioPart,
  filePart,
  fromBase64,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import {
  invalidValue,
  missing,
  readBoolean,
  readObject,
  readString,
  requireName,
  requireObject,
  requireString,
  unsupported,
} from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";
import { camelKeys, listOf } from "./google-json.ts";
import { placeToolCallId } from "./tool-call-id.ts";

interface OpenCall {
  readonly id: string;
  readonly name: string;
}

/**
 * Reads `contents`. A turn with function responses gives a message of the role tool before the rest of the turn; calls
 * without ids get their place as an id, and responses without ids answer the first open call of their name.
 */
export function decodeContents(contents: Json, path: string): Message[] {
  const openCalls: OpenCall[] = [];
  const messages: Message[] = [];
  for (const [index, value] of listOf(contents, path).entries()) {
    const place = `${path}[${index}]`;
    const content = camelKeys(requireObject(value, place));
    const role = readString(content, "role", place) ?? "user";
    const parts = readParts(content, place);
    switch (role) {
      case "model":
        appendTurn(
          messages,
          parts.flatMap((part, at) => decodeModelPart(part, index, at, place, openCalls)),
        );
        break;
      case "user":
      case "function":
        messages.push(...decodeUserTurn(parts, place, openCalls));
        break;
      default:
        throw invalidValue(`${place}.role`, "must be user or model");
    }
  }
  return messages;
}

/**
 * Clients that stream keep what came as it came: a content for each event, a part for each piece. Together they are one
 * turn again, and a thought is whole again with the signature that came after it.
 */
function appendTurn(messages: Message[], parts: readonly Part[]): void {
  let turn = messages.at(-1);
  if (turn?.role !== Role.ASSISTANT) {
    turn = message(Role.ASSISTANT, []);
    messages.push(turn);
  }
  for (const part of parts) {
    const before = turn.parts.at(-1)?.content;
    const { content } = part;
    if (
      (before?.case === "text" && content.case === "text" && before.value.signature === "") ||
      (before?.case === "reasoning" && content.case === "reasoning" && before.value.signature === "")
    ) {
      before.value.text += content.value.text;
      before.value.signature = content.value.signature;
    } else {
      turn.parts.push(part);
    }
  }
}

/** Reads `systemInstruction`, whose role does not matter. */
export function decodeSystemInstruction(instruction: Json, path: string): Message[] {
  const content = camelKeys(requireObject(instruction, path));
  const parts = readParts(content, path).map((part, index) =>
    textPart(requireString(part, "text", `${path}.parts[${index}]`)),
  );
  return parts.length === 0 ? [] : [message(Role.SYSTEM, parts)];
}

/** Reads `inlineData` by what it is: a picture, a sound, or else a file. */
export function decodeInlineData(data: JsonObject, path: string): Part {
  const inline = camelKeys(data);
  const mediaType = requireName(inline, "mimeType", path);
  const bytes = fromBase64(requireString(inline, "data", path));
  if (mediaType.startsWith("image/")) {
    return imagePart({ case: "data", value: bytes }, mediaType);
  }
  if (mediaType.startsWith("audio/")) {
    return audioPart(bytes, mediaType);
  }
  return filePart({ case: "data", value: bytes }, mediaType, readString(inline, "displayName", path) ?? "");
}

function readParts(content: JsonObject, path: string): JsonObject[] {
  const parts = content["parts"] ?? undefined;
  if (parts === undefined) {
    return [];
  }
  return listOf(parts, `${path}.parts`).map((part, index) => camelKeys(requireObject(part, `${path}.parts[${index}]`)));
}

function decodeUserTurn(parts: readonly JsonObject[], path: string, openCalls: OpenCall[]): Message[] {
  const results: Part[] = [];
  const rest: Part[] = [];
  for (const [index, part] of parts.entries()) {
    const place = `${path}.parts[${index}]`;
    const response = readObject(part, "functionResponse", place);
    if (response === undefined) {
      rest.push(decodeContentPart(part, place));
    } else {
      results.push(decodeFunctionResponse(camelKeys(response), `${place}.functionResponse`, openCalls));
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

function decodeModelPart(
  part: JsonObject,
  contentIndex: number,
  partIndex: number,
  path: string,
  openCalls: OpenCall[],
): Part[] {
  const place = `${path}.parts[${partIndex}]`;
  const signature = readString(part, "thoughtSignature", place) ?? "";
  const call = readObject(part, "functionCall", place);
  if (call !== undefined) {
    const name = requireName(call, "name", `${place}.functionCall`);
    const given = readString(call, "id", `${place}.functionCall`) ?? "";
    const id = given === "" ? placeToolCallId(contentIndex, partIndex) : given;
    openCalls.push({ id, name });
    const argumentsJson = JSON.stringify(readObject(call, "args", `${place}.functionCall`) ?? {});
    return [toolCallPart({ id, name, argumentsJson, signature })];
  }
  const text = readString(part, "text", place);
  if (text === undefined && signature !== "" && !("inlineData" in part) && !("fileData" in part)) {
    return [textPart("", signature)];
  }
  if (readBoolean(part, "thought", place) === true) {
    return [reasoningPart({ text: text ?? "", signature })];
  }
  return text === undefined ? [decodeContentPart(part, place)] : [textPart(text, signature)];
}

function decodeContentPart(part: JsonObject, path: string): Part {
  const text = readString(part, "text", path);
  if (text !== undefined) {
    return textPart(text, readString(part, "thoughtSignature", path) ?? "");
  }
  const inline = readObject(part, "inlineData", path);
  if (inline !== undefined) {
    return decodeInlineData(inline, `${path}.inlineData`);
  }
  const file = readObject(part, "fileData", path);
  if (file !== undefined) {
    return decodeFileData(camelKeys(file), `${path}.fileData`);
  }
  const kinds = Object.keys(part);
  if (kinds.length === 0) {
    throw missing(`${path}.text`);
  }
  throw unsupported(path, `holds ${kinds.join(", ")}, which cannot be translated`);
}

function decodeFileData(file: JsonObject, path: string): Part {
  const url = requireName(file, "fileUri", path);
  const mediaType = readString(file, "mimeType", path) ?? "";
  return mediaType.startsWith("image/")
    ? imagePart({ case: "url", value: url }, mediaType)
    : filePart({ case: "url", value: url }, mediaType);
}

function decodeFunctionResponse(response: JsonObject, path: string, openCalls: OpenCall[]): Part {
  const name = requireName(response, "name", path);
  const id = takeOpenCall(readString(response, "id", path) ?? "", name, openCalls);
  const result = readObject(response, "response", path) ?? {};
  const { error } = result;
  const isError = Object.keys(result).length === 1 && error !== undefined;
  const parts = [textPart(readResultText(result))];
  for (const [index, value] of listOf(response["parts"] ?? [], `${path}.parts`).entries()) {
    parts.push(
      decodeContentPart(camelKeys(requireObject(value, `${path}.parts[${index}]`)), `${path}.parts[${index}]`),
    );
  }
  return toolResultPart({ toolCallId: id, name, parts, isError });
}

/** A result that was a text before it was wrapped into an object; otherwise the object as JSON text. */
function readResultText(result: JsonObject): string {
  const keys = Object.keys(result);
  const key = keys[0];
  const only = keys.length === 1 && key !== undefined ? result[key] : undefined;
  const wraps = key === "result" || key === "output" || key === "error";
  return wraps && typeof only === "string" ? only : JSON.stringify(result);
}

function takeOpenCall(id: string, name: string, openCalls: OpenCall[]): string {
  const byId = openCalls.findIndex((call) => id !== "" && call.id === id);
  const index = byId === -1 && id === "" ? openCalls.findIndex((call) => call.name === name) : byId;
  const call = index === -1 ? undefined : openCalls.splice(index, 1)[0];
  // A response that no call asked for keeps its own id, or its name: it still is what the caller sent.
  return call?.id ?? (id === "" ? name : id);
}
