import type { AudioPart, CacheControl, FilePart, ImagePart, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import type { OpenAiChatOptions } from "./codec-options.ts";

/**
 * Writes the parts of a system, user or tool message: a string where a single text says all, else a list of parts.
 * Throws CodecError (`unsupported_feature`) for a part that the dialect has no form for.
 */
export function encodeContent(parts: readonly Part[], options: OpenAiChatOptions, dropped: Set<string>): Json {
  const [first] = parts;
  if (first === undefined) {
    return "";
  }
  const written = parts.map((part) => ({
    ...encodePart(part),
    ...encodeCacheControl(part.cacheControl, options, dropped),
  }));
  const isPlain =
    parts.length === 1 &&
    first.content.case === "text" &&
    (first.cacheControl === undefined || options.extensions !== true);
  return isPlain && first.content.case === "text" ? first.content.value.text : written;
}

/** The `cache_control` of a part or a tool, for spreading into it; no field when there is none. */
export function encodeCacheControl(
  control: CacheControl | undefined,
  options: OpenAiChatOptions,
  dropped: Set<string>,
): JsonObject {
  if (control === undefined) {
    return {};
  }
  if (options.extensions !== true) {
    dropped.add("cache_control");
    return {};
  }
  return { cache_control: { type: "ephemeral", ...(control.ttl === "" ? {} : { ttl: control.ttl }) } };
}

/** Writes a picture as an `image_url` part. */
export function encodeImage(image: ImagePart): JsonObject {
  const { source } = image;
  const url =
    source.case === "data" ? writeDataUrl(source.value, image.mediaType || "image/png") : (source.value ?? "");
  return { type: "image_url", image_url: { url, ...(image.detail === "" ? {} : { detail: image.detail }) } };
}

function encodePart(part: Part): JsonObject {
  const { content } = part;
  switch (content.case) {
    case "text":
    case "refusal":
      return { type: "text", text: content.value.text };
    case "image":
      return encodeImage(content.value);
    case "audio":
      return encodeAudio(content.value);
    case "file":
      return encodeFile(content.value);
    case "toolCall":
    case "toolResult":
    case "reasoning":
    case undefined:
      throw new CodecError("a message holds a part that its role cannot", { param: "messages", code: "invalid_value" });
  }
}

function encodeAudio(audio: AudioPart): JsonObject {
  const format = AUDIO_FORMATS.get(audio.mediaType);
  if (format === undefined) {
    throw unsupported(`audio of the type '${audio.mediaType}'`);
  }
  return { type: "input_audio", input_audio: { data: toBase64(audio.data), format } };
}

function encodeFile(file: FilePart): JsonObject {
  const { source } = file;
  const filename: JsonObject = file.filename === "" ? {} : { filename: file.filename };
  switch (source.case) {
    case "fileId":
      return { type: "file", file: { file_id: source.value, ...filename } };
    case "data": {
      const data = writeDataUrl(source.value, file.mediaType || "application/pdf");
      // OpenAI refuses file data without a name.
      return { type: "file", file: { file_data: data, filename: file.filename || "document.pdf" } };
    }
    case "url":
    case undefined:
      throw unsupported("a document by its address");
  }
}

const AUDIO_FORMATS: ReadonlyMap<string, string> = new Map([
  ["audio/wav", "wav"],
  ["audio/x-wav", "wav"],
  ["audio/wave", "wav"],
  ["audio/mpeg", "mp3"],
  ["audio/mp3", "mp3"],
]);

function writeDataUrl(bytes: Uint8Array, mediaType: string): string {
  return `data:${mediaType};base64,${toBase64(bytes)}`;
}

function unsupported(what: string): CodecError {
  return new CodecError(`the provider cannot take ${what}`, { param: "messages", code: "unsupported_feature" });
}
