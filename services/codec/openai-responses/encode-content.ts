import type { AudioPart, FilePart, ImagePart, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";

/**
 * Writes the parts of a message that is not the assistant's, or of a tool's output: a string where a single text says
 * all, else a list of parts. Throws CodecError (`unsupported_feature`) for a part that the dialect has no form for.
 */
export function encodeContent(parts: readonly Part[], dropped: Set<string>): Json {
  if (parts.some((part) => part.cacheControl !== undefined)) {
    dropped.add("cache_control");
  }
  const [first] = parts;
  if (first === undefined) {
    return "";
  }
  if (parts.length === 1 && first.content.case === "text") {
    return first.content.value.text;
  }
  return parts.map(encodePart);
}

function encodePart({ content }: Part): JsonObject {
  switch (content.case) {
    case "text":
    case "refusal":
      return { type: "input_text", text: content.value.text };
    case "image":
      return encodeImage(content.value);
    case "file":
      return encodeFile(content.value);
    case "audio":
      throw refuseAudio(content.value);
    case "toolCall":
    case "toolResult":
    case "reasoning":
    case undefined:
      throw new CodecError("a message holds a part that its role cannot", { param: "messages", code: "invalid_value" });
  }
}

function encodeImage(image: ImagePart): JsonObject {
  const { source } = image;
  const url =
    source.case === "data" ? writeDataUrl(source.value, image.mediaType || "image/png") : (source.value ?? "");
  return { type: "input_image", image_url: url, detail: image.detail || "auto" };
}

function encodeFile(file: FilePart): JsonObject {
  const { source } = file;
  switch (source.case) {
    case "fileId":
      return { type: "input_file", file_id: source.value };
    case "url":
      return { type: "input_file", file_url: source.value };
    case "data": {
      const data = writeDataUrl(source.value, file.mediaType || "application/pdf");
      // OpenAI refuses file data without a name.
      return { type: "input_file", filename: file.filename || "document.pdf", file_data: data };
    }
    case undefined:
      throw new CodecError("a document has no content", { param: "messages", code: "invalid_value" });
  }
}

function refuseAudio(audio: AudioPart): CodecError {
  const what = audio.mediaType === "" ? "audio" : `audio of the type '${audio.mediaType}'`;
  return new CodecError(`the provider cannot take ${what}`, { param: "messages", code: "unsupported_feature" });
}

function writeDataUrl(bytes: Uint8Array, mediaType: string): string {
  return `data:${mediaType};base64,${toBase64(bytes)}`;
}
