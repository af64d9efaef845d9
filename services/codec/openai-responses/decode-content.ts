import type { Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { audioPart, filePart, imagePart, textPart } from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, unsupported } from "../json/json-fields.ts";
import { asObject, asString } from "../json/json-values.ts";
import { decodeDataUrl } from "../openai-chat/decode-content.ts";
import { refusalPart } from "../openai-chat/refusal-part.ts";
import { brokenRule, invalidType, invalidValue, missingParameter } from "../openai-chat/request-errors.ts";

const PART_TYPES = ["input_text", "input_image", "input_file", "output_text", "refusal"];
const FETCHABLE = /^(?:https?|gs):\/\//i;

/** Reads the content of a message or a tool's output: a string, a list of parts, or nothing. Throws CodecError. */
export function decodeContent(content: Json | undefined, param: string): Part[] {
  if (typeof content === "string") {
    return content === "" ? [] : [textPart(content)];
  }
  return isJsonArray(content) ? content.map((part, index) => decodePart(part, `${param}[${index}]`)) : [];
}

function decodePart(value: Json, param: string): Part {
  const part = asObject(value);
  if (part === undefined) {
    throw invalidType(param, "an object", value);
  }
  const type = asString(part["type"]);
  switch (type) {
    case "input_text":
    case "output_text":
    case "text":
      return textPart(asString(part["text"]));
    case "refusal":
      return refusalPart(asString(part["refusal"]));
    case "input_image":
      return decodeImage(part, param);
    case "input_file":
      return decodeFile(part, param);
    case "input_audio":
      return decodeAudio(part, param);
    default:
      throw invalidValue(`${param}.type`, type, PART_TYPES);
  }
}

function decodeImage(part: JsonObject, param: string): Part {
  if (asString(part["file_id"]) !== "") {
    throw unsupported(`${param}.file_id`, "cannot be used with this model; send the image itself or its address");
  }
  // Some clients send chat completions' `{url}` in place of the URL.
  const image = asObject(part["image_url"]);
  const url = asString(image === undefined ? part["image_url"] : image["url"]);
  const urlParam = `${param}.image_url`;
  if (url === "") {
    throw missingParameter(urlParam);
  }
  const data = decodeDataUrl(url, urlParam);
  if (data === undefined && !FETCHABLE.test(url)) {
    throw brokenRule(urlParam, `Invalid '${urlParam}': expected a data URL or an https URL.`, "invalid_image_url");
  }
  const decoded =
    data === undefined
      ? imagePart({ case: "url", value: url }, "")
      : imagePart({ case: "data", value: data.bytes }, data.mediaType);
  if (decoded.content.case === "image") {
    const detail = asString(part["detail"]);
    // `auto` is what the field has when nothing is asked for.
    decoded.content.value.detail = detail === "auto" ? "" : detail;
  }
  return decoded;
}

function decodeFile(part: JsonObject, param: string): Part {
  const filename = asString(part["filename"]);
  const fileId = asString(part["file_id"]);
  if (fileId !== "") {
    return filePart({ case: "fileId", value: fileId }, "", filename);
  }
  const url = asString(part["file_url"]);
  if (url !== "") {
    if (!FETCHABLE.test(url)) {
      throw brokenRule(`${param}.file_url`, `Invalid '${param}.file_url': expected an https URL.`);
    }
    return filePart({ case: "url", value: url }, "", filename);
  }
  const text = asString(part["file_data"]);
  if (text === "") {
    throw missingParameter(`${param}.file_data`);
  }
  const mediaType = filename.toLowerCase().endsWith(".pdf") ? "application/pdf" : "";
  const data = readData(text, mediaType, `${param}.file_data`);
  return filePart({ case: "data", value: data.bytes }, data.mediaType, filename);
}

function decodeAudio(part: JsonObject, param: string): Part {
  const audio = asObject(part["input_audio"]) ?? {};
  const format = asString(audio["format"]);
  const text = asString(audio["data"]);
  if (text === "" || format === "") {
    throw missingParameter(`${param}.input_audio.${text === "" ? "data" : "format"}`);
  }
  const data = readData(text, format === "mp3" ? "audio/mpeg" : `audio/${format}`, `${param}.input_audio.data`);
  return audioPart(data.bytes, data.mediaType);
}

/** Reads a data URL, or bare base64 of the given type. */
function readData(
  text: string,
  mediaType: string,
  param: string,
): { readonly bytes: Uint8Array; readonly mediaType: string } {
  const data = decodeDataUrl(text, param) ?? decodeDataUrl(`data:${mediaType};base64,${text}`, param);
  if (data === undefined) {
    throw brokenRule(param, `Invalid '${param}': expected base64-encoded data.`);
  }
  return data;
}
