import type { CacheControl, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { audioPart, filePart, imagePart, textPart, withCacheControl } from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { asObject, asString } from "../json/json-values.ts";
import { brokenRule, invalidType, invalidValue, missingParameter } from "./request-errors.ts";
import { refusalPart } from "./refusal-part.ts";

const PART_TYPES = ["text", "image_url", "input_audio", "file"];
const DATA_URL = /^data:([^;,]*)((?:;[^;,]*)*),/;
const FETCHABLE = /^(?:https?|gs):\/\//i;

/** Reads the content of a message: a string, a list of parts, or nothing. Throws CodecError. */
export function decodeContent(content: Json | undefined, param: string): Part[] {
  if (typeof content === "string") {
    return content === "" ? [] : [textPart(content)];
  }
  return isJsonArray(content) ? content.map((part, index) => decodePart(part, `${param}[${index}]`)) : [];
}

/** Reads the `cache_control` that many clients put on a part, a message or a tool; undefined when there is none. */
export function decodeCacheControl(holder: JsonObject): CacheControl | undefined {
  const control = asObject(holder["cache_control"]);
  return control && { $typeName: "penstock.chat.v1.CacheControl", ttl: asString(control["ttl"]) };
}

function decodePart(value: Json, param: string): Part {
  const part = asObject(value);
  if (part === undefined) {
    throw invalidType(param, "an object", value);
  }
  return withCacheControl(decodePartContent(part, param), decodeCacheControl(part));
}

function decodePartContent(part: JsonObject, param: string): Part {
  const type = asString(part["type"]);
  switch (type) {
    case "text":
      return textPart(asString(part["text"]));
    case "refusal":
      return refusalPart(asString(part["refusal"]));
    case "image_url":
      return decodeImage(part["image_url"], `${param}.image_url`);
    case "input_audio":
      return decodeAudio(requireObject(part, "input_audio", param), `${param}.input_audio`);
    case "file":
      return decodeFile(requireObject(part, "file", param), `${param}.file`);
    default:
      throw invalidValue(`${param}.type`, type, PART_TYPES);
  }
}

function decodeImage(value: Json | undefined, param: string): Part {
  // Some clients shorten `{url}` to the URL itself.
  const image = asObject(value);
  const url = image === undefined ? asString(value) : asString(image["url"]);
  if (url === "") {
    throw missingParameter(`${param}.url`);
  }
  const data = decodeDataUrl(url, `${param}.url`);
  if (data === undefined && !FETCHABLE.test(url)) {
    throw brokenRule(
      `${param}.url`,
      `Invalid '${param}.url': expected a data URL or an https URL.`,
      "invalid_image_url",
    );
  }
  const part =
    data === undefined
      ? imagePart({ case: "url", value: url }, "")
      : imagePart({ case: "data", value: data.bytes }, data.mediaType);
  const detail = asString(image?.["detail"]);
  if (detail !== "" && part.content.case === "image") {
    part.content.value.detail = detail;
  }
  return part;
}

function decodeAudio(audio: JsonObject, param: string): Part {
  const data = audio["data"];
  if (typeof data !== "string") {
    throw data === undefined ? missingParameter(`${param}.data`) : invalidType(`${param}.data`, "a string", data);
  }
  const format = asString(audio["format"]);
  if (format === "") {
    throw missingParameter(`${param}.format`);
  }
  return audioPart(decodeBase64(data, `${param}.data`), format === "mp3" ? "audio/mpeg" : `audio/${format}`);
}

function decodeFile(file: JsonObject, param: string): Part {
  const filename = asString(file["filename"]);
  const fileId = asString(file["file_id"]);
  if (fileId !== "") {
    return filePart({ case: "fileId", value: fileId }, "", filename);
  }
  const text = asString(file["file_data"]);
  if (text === "") {
    throw missingParameter(`${param}.file_data`);
  }
  if (FETCHABLE.test(text)) {
    return filePart({ case: "url", value: text }, "", filename);
  }
  const data = decodeDataUrl(text, `${param}.file_data`);
  if (data !== undefined) {
    return filePart({ case: "data", value: data.bytes }, data.mediaType, filename);
  }
  const mediaType = filename.toLowerCase().endsWith(".pdf") ? "application/pdf" : "";
  return filePart({ case: "data", value: decodeBase64(text, `${param}.file_data`) }, mediaType, filename);
}

/** The bytes of a data URL; undefined when the URL is of another kind. Throws CodecError when its base64 is broken. */
export function decodeDataUrl(
  url: string,
  param: string,
): { readonly bytes: Uint8Array; readonly mediaType: string } | undefined {
  const match = DATA_URL.exec(url);
  if (match === null) {
    return undefined;
  }
  const [prefix, mediaType = "", attributes = ""] = match;
  const payload = url.slice(prefix.length);
  if (!attributes.split(";").includes("base64")) {
    throw brokenRule(param, `Invalid '${param}': expected a base64-encoded data URL.`);
  }
  return { bytes: decodeBase64(payload, param), mediaType };
}

function decodeBase64(text: string, param: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  // Buffer skips what is not base64, so too few bytes mean that something was skipped.
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  if (bytes.length !== Math.floor(((text.length - padding) * 3) / 4)) {
    throw brokenRule(param, `Invalid '${param}': expected base64-encoded data.`);
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function requireObject(part: JsonObject, key: string, param: string): JsonObject {
  const object = asObject(part[key]);
  if (object === undefined) {
    throw part[key] === undefined
      ? missingParameter(`${param}.${key}`)
      : invalidType(`${param}.${key}`, "an object", part[key]);
  }
  return object;
}
