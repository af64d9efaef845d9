import type { AudioPart, FilePart, ImagePart } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import type { JsonObject } from "../codec.ts";
import { missing, unsupported } from "../json/json-fields.ts";
import { documentFormat, formatOf, imageFormat } from "./media-formats.ts";

const LONGEST_NAME = 200;

/** Gives documents names that Bedrock takes, no two alike. Holds the state of one request. */
export type NameDocument = (filename: string) => string;

/** Creates what names the documents of one request. */
export function createDocumentNames(): NameDocument {
  const taken = new Set<string>();
  return (filename) => {
    const plain = filename
      .replace(/\.[a-z0-9]{1,5}$/i, "")
      .replaceAll(/[^a-zA-Z0-9\s()[\]-]+/g, "-")
      .replaceAll(/\s+/g, " ")
      .trim()
      .slice(0, LONGEST_NAME - 6);
    const base = plain === "" ? "document" : plain;
    let name = base;
    for (let count = 2; taken.has(name); count++) {
      name = `${base} (${count})`;
    }
    taken.add(name);
    return name;
  };
}

/** Writes a picture. Throws CodecError (`unsupported_feature`) for an address: Bedrock fetches nothing from the web. */
export function encodeImage(image: ImagePart, path: string): JsonObject {
  const { source } = image;
  if (source.case === undefined) {
    throw missing(`${path}.image_url`);
  }
  const format =
    source.case === "data" ? imageFormat(source.value, image.mediaType) : formatByUrl("image", image, source.value);
  if (format === undefined) {
    throw unsupported(path, "must be a JPEG, PNG, GIF or WebP picture");
  }
  return { image: { format, source: encodeSource(source, path) } };
}

/** Writes a document, or a video that came as a file. Throws CodecError (`unsupported_feature`) for what Bedrock refuses. */
export function encodeFile(file: FilePart, path: string, nameDocument: NameDocument): JsonObject {
  const { source } = file;
  if (source.case === undefined) {
    throw missing(`${path}.file`);
  }
  if (source.case === "fileId") {
    throw unsupported(path, "is a file of another provider, which Bedrock does not have");
  }
  const video = formatOf("video", file.mediaType);
  if (video !== undefined) {
    return { video: { format: video, source: encodeSource(source, path) } };
  }
  const format =
    source.case === "data"
      ? documentFormat(source.value, file.mediaType, file.filename)
      : (formatOf("document", file.mediaType) ?? documentFormat(new Uint8Array(0), "", source.value));
  if (format === undefined) {
    throw unsupported(path, "must be a PDF, a text, a page, a sheet or a document of an office");
  }
  return { document: { format, name: nameDocument(file.filename), source: encodeSource(source, path) } };
}

/** Writes a sound. Throws CodecError (`unsupported_feature`) for a format that Bedrock does not know. */
export function encodeAudio(audio: AudioPart, path: string): JsonObject {
  const format = formatOf("audio", audio.mediaType);
  if (format === undefined) {
    throw unsupported(path, "is audio of a format that Bedrock does not take");
  }
  return { audio: { format, source: { bytes: toBase64(audio.data) } } };
}

function encodeSource(
  source: { readonly case: "data"; readonly value: Uint8Array } | { readonly case: "url"; readonly value: string },
  path: string,
): JsonObject {
  if (source.case === "data") {
    return { bytes: toBase64(source.value) };
  }
  if (!source.value.startsWith("s3://")) {
    throw unsupported(path, "is an address, and Bedrock's models take bytes or a place in S3");
  }
  return { s3Location: { uri: source.value } };
}

function formatByUrl(kind: "image", image: ImagePart, url: string): string | undefined {
  const ending = /\.([a-z0-9]+)$/i.exec(url)?.[1]?.toLowerCase() ?? "png";
  return formatOf(kind, image.mediaType === "" ? `image/${ending}` : image.mediaType);
}
