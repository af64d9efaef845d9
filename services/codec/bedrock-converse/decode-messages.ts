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
import type { Json, JsonObject } from "../codec.ts";
import {
  invalidValue,
  readArray,
  readObject,
  readString,
  requireName,
  requireObject,
  requireString,
  unsupported,
} from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";
import { decodeCachePoint } from "./decode-cache-point.ts";
import { citedText, isServerTool } from "./decode-response.ts";
import { mediaTypeOf, type MediaKind } from "./media-formats.ts";
import { unwrapRedacted } from "./redacted-content.ts";

/** Reads instructions and conversation. Throws CodecError for what Bedrock would refuse and what others cannot know. */
export function decodeMessages(messages: readonly Json[], system: readonly Json[]): Message[] {
  const instructions = decodeBlocks(system, "system");
  return [
    ...(instructions.length === 0 ? [] : [message(Role.SYSTEM, instructions)]),
    ...messages.map((value, index) => {
      const path = `messages[${index}]`;
      const turn = requireObject(value, path);
      const content = decodeBlocks(readArray(turn, "content", path) ?? [], `${path}.content`);
      switch (requireString(turn, "role", path)) {
        case "user":
          return message(
            content.length > 0 && content.every((part) => part.content.case === "toolResult") ? Role.TOOL : Role.USER,
            content,
          );
        case "assistant":
          return message(Role.ASSISTANT, content);
        default:
          throw invalidValue(`${path}.role`, "must be user or assistant");
      }
    }),
  ];
}

function decodeBlocks(blocks: readonly Json[], path: string): Part[] {
  const parts: Part[] = [];
  for (const [index, value] of blocks.entries()) {
    const place = `${path}[${index}]`;
    const block = requireObject(value, place);
    const mark = decodeCachePoint(block, place);
    const last = parts.at(-1);
    if (mark === undefined) {
      parts.push(...decodeBlock(block, place));
    } else if (last !== undefined) {
      last.cacheControl = mark;
    }
  }
  return parts;
}

function decodeBlock(block: JsonObject, path: string): Part[] {
  const [kind] = Object.keys(block).filter((key) => block[key] !== undefined && block[key] !== null);
  const place = `${path}.${kind ?? ""}`;
  const inner = kind === undefined ? {} : (asObject(block[kind]) ?? {});
  switch (kind) {
    case "text": {
      const text = requireString(block, "text", path);
      return text === "" ? [] : [textPart(text)];
    }
    case "json":
      return [textPart(JSON.stringify(block["json"]))];
    case "guardContent":
      return decodeBlock(requireTextOrImage(inner, place), place);
    case "citationsContent":
      return [textPart(citedText(inner))];
    case "image":
      return [imagePart(readSource(inner, place), mediaType(inner, "image", place))];
    case "document":
      return [decodeDocument(inner, place)];
    case "video":
      return [filePart(readSource(inner, place), mediaType(inner, "video", place))];
    case "audio": {
      const source = readSource(inner, place);
      if (source.case === "url") {
        throw unsupported(place, "is a place in S3, which only Bedrock reads sounds from");
      }
      return [audioPart(source.value, mediaType(inner, "audio", place))];
    }
    case "toolUse":
      return isServerTool(inner) ? [] : [decodeCall(inner, place)];
    case "toolResult":
      return isServerTool(inner) ? [] : [decodeResult(inner, place)];
    case "reasoningContent":
      return [decodeThought(inner, place)];
    default:
      throw unsupported(path, "is a block that only Bedrock knows");
  }
}

function requireTextOrImage(guarded: JsonObject, path: string): JsonObject {
  const text = readObject(guarded, "text", path);
  return text === undefined ? { image: guarded["image"] } : { text: text["text"] };
}

function mediaType(block: JsonObject, kind: MediaKind, path: string): string {
  return mediaTypeOf(kind, readString(block, "format", path) ?? "");
}

function readSource(
  block: JsonObject,
  path: string,
): { case: "data"; value: Uint8Array<ArrayBuffer> } | { case: "url"; value: string } {
  const source = requireObject(block["source"], `${path}.source`);
  const place = readObject(source, "s3Location", `${path}.source`);
  return place === undefined
    ? { case: "data", value: Uint8Array.from(fromBase64(requireString(source, "bytes", `${path}.source`))) }
    : { case: "url", value: requireName(place, "uri", `${path}.source.s3Location`) };
}

function decodeDocument(document: JsonObject, path: string): Part {
  const name = readString(document, "name", path) ?? "";
  const source = requireObject(document["source"], `${path}.source`);
  const text = readString(source, "text", `${path}.source`);
  const type = mediaType(document, "document", path);
  const filename = name === "" ? "" : `${name}.${readString(document, "format", path) ?? "txt"}`;
  return text === undefined
    ? filePart(readSource(document, path), type, filename)
    : filePart({ case: "data", value: new TextEncoder().encode(text) }, type === "" ? "text/plain" : type, filename);
}

function decodeCall(call: JsonObject, path: string): Part {
  return toolCallPart({
    id: requireName(call, "toolUseId", path),
    name: requireName(call, "name", path),
    argumentsJson: JSON.stringify(readObject(call, "input", path) ?? {}),
  });
}

function decodeResult(result: JsonObject, path: string): Part {
  return toolResultPart({
    toolCallId: requireName(result, "toolUseId", path),
    parts: decodeBlocks(readArray(result, "content", path) ?? [], `${path}.content`),
    isError: result["status"] === "error",
  });
}

function decodeThought(thought: JsonObject, path: string): Part {
  const redacted = readString(thought, "redactedContent", path);
  if (redacted !== undefined) {
    return reasoningPart({ redactedData: unwrapRedacted(redacted) });
  }
  const said = requireObject(thought["reasoningText"], `${path}.reasoningText`);
  return reasoningPart({
    text: readString(said, "text", `${path}.reasoningText`) ?? "",
    signature: readString(said, "signature", `${path}.reasoningText`) ?? "",
  });
}
