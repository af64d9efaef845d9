// Converse names formats by words of its own in place of media types.

const IMAGES: ReadonlyMap<string, string> = new Map([
  ["image/png", "png"],
  ["image/jpeg", "jpeg"],
  ["image/jpg", "jpeg"],
  ["image/gif", "gif"],
  ["image/webp", "webp"],
]);

const DOCUMENTS: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["text/csv", "csv"],
  ["application/msword", "doc"],
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
  ["application/vnd.ms-excel", "xls"],
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"],
  ["text/html", "html"],
  ["text/plain", "txt"],
  ["text/markdown", "md"],
]);

const VIDEOS: ReadonlyMap<string, string> = new Map([
  ["video/mp4", "mp4"],
  ["video/quicktime", "mov"],
  ["video/x-matroska", "mkv"],
  ["video/webm", "webm"],
  ["video/x-flv", "flv"],
  ["video/mpeg", "mpeg"],
  ["video/x-ms-wmv", "wmv"],
  ["video/3gpp", "three_gp"],
]);

const SOUNDS: ReadonlyMap<string, string> = new Map([
  ["audio/wav", "wav"],
  ["audio/x-wav", "wav"],
  ["audio/mpeg", "mp3"],
  ["audio/mp3", "mp3"],
  ["audio/flac", "flac"],
  ["audio/ogg", "ogg"],
  ["audio/opus", "opus"],
  ["audio/aac", "aac"],
  ["audio/mp4", "m4a"],
  ["audio/webm", "webm"],
]);

const KINDS = { image: IMAGES, document: DOCUMENTS, video: VIDEOS, audio: SOUNDS } as const;

/** The kinds of blocks that hold media. */
export type MediaKind = keyof typeof KINDS;

/** Converse's word for a media type; undefined when it has none. */
export function formatOf(kind: MediaKind, mediaType: string): string | undefined {
  const [plain = ""] = mediaType.toLowerCase().split(";");
  return KINDS[kind].get(plain.trim());
}

/** The media type that one of Converse's words names. */
export function mediaTypeOf(kind: MediaKind, format: string): string {
  for (const [mediaType, word] of KINDS[kind]) {
    if (word === format) {
      return mediaType;
    }
  }
  return format === "" ? "" : `${kind === "document" ? "application" : kind}/${format}`;
}

/** Converse's word for a document: by its first bytes, its media type, the end of its name; a text is a text. */
export function documentFormat(data: Uint8Array, mediaType: string, filename: string): string | undefined {
  const start = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, 5)).toString("latin1");
  if (start === "%PDF-") {
    return "pdf";
  }
  const ending = /\.([a-z]+)$/i.exec(filename)?.[1]?.toLowerCase() ?? "";
  const named = [...DOCUMENTS.values()].find((word) => word === (ending === "htm" ? "html" : ending));
  const isText = mediaType.startsWith("text/") || mediaType === "application/json";
  return formatOf("document", mediaType) ?? named ?? (isText ? "txt" : undefined);
}

/** Converse's word for a picture: what its first bytes show, else its media type. Clients often name a wrong one. */
export function imageFormat(data: Uint8Array, mediaType: string): string | undefined {
  const start = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, 12)).toString("latin1");
  if (start.startsWith("\x89PNG")) {
    return "png";
  }
  if (start.startsWith("\xff\xd8\xff")) {
    return "jpeg";
  }
  if (start.startsWith("GIF8")) {
    return "gif";
  }
  return start.startsWith("RIFF") && start.endsWith("WEBP") ? "webp" : formatOf("image", mediaType);
}
