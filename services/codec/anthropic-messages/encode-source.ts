import type { FilePart, ImagePart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { missing, unsupported } from "../json/json-fields.ts";

const IMAGE_TYPES: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** Writes a picture. Throws CodecError (`unsupported_feature`) for a format that Anthropic does not take. */
export function encodeImage(image: ImagePart, path: string): JsonObject {
  if (image.source.case === "url") {
    return { type: "image", source: { type: "url", url: image.source.value } };
  }
  if (image.source.case !== "data") {
    throw missing(`${path}.image_url`);
  }
  const mediaType = sniffImageType(image.source.value) ?? image.mediaType.replace("image/jpg", "image/jpeg");
  if (!IMAGE_TYPES.has(mediaType)) {
    throw unsupported(path, "must be a JPEG, PNG, GIF or WebP picture");
  }
  return { type: "image", source: { type: "base64", media_type: mediaType, data: toBase64(image.source.value) } };
}

/** Writes a document. Throws CodecError (`unsupported_feature`) for anything but PDF and text. */
export function encodeFile(file: FilePart, path: string): JsonObject {
  const title = file.filename === "" ? {} : { title: file.filename };
  switch (file.source.case) {
    case "url":
      return { type: "document", source: { type: "url", url: file.source.value }, ...title };
    case "fileId":
      return { type: "document", source: { type: "file", file_id: file.source.value }, ...title };
    case "data":
      return { type: "document", source: encodeDocumentData(file.source.value, file, path), ...title };
    default:
      throw missing(`${path}.file`);
  }
}

/** The media type that the first bytes of a picture show; undefined for other bytes. Clients often name a wrong one. */
function sniffImageType(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 12)).toString("latin1");
  if (start.startsWith("\x89PNG")) {
    return "image/png";
  }
  if (start.startsWith("\xff\xd8\xff")) {
    return "image/jpeg";
  }
  if (start.startsWith("GIF8")) {
    return "image/gif";
  }
  return start.startsWith("RIFF") && start.endsWith("WEBP") ? "image/webp" : undefined;
}

function encodeDocumentData(data: Uint8Array, file: FilePart, path: string): JsonObject {
  const isPdf = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, 5)).toString("latin1") === "%PDF-";
  if (isPdf || file.mediaType === "application/pdf" || file.filename.toLowerCase().endsWith(".pdf")) {
    return { type: "base64", media_type: "application/pdf", data: toBase64(data) };
  }
  if (file.mediaType.startsWith("text/") || file.mediaType === "application/json") {
    return { type: "text", media_type: "text/plain", data: new TextDecoder().decode(data) };
  }
  throw unsupported(path, "must be a PDF or a text");
}
