import type { Buffer } from "node:buffer";
import { isUtf8 } from "node:buffer";
import { CodecError, type JsonObject } from "#codec/codec.ts";
import { isTooDeep } from "./is-too-deep.ts";

/** The deepest nesting that a body may have. */
const maxDepth = 64;

/** Parses a body. Throws CodecError for what is not a JSON object in UTF-8 of a sane depth. */
export function parseBody(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) {
    throw invalidJson("the body is not valid UTF-8");
  }
  if (isTooDeep(bytes, maxDepth)) {
    throw invalidJson(`the body is nested more than ${maxDepth} levels deep`);
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw invalidJson("the body is not valid JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidJson("the body is not a JSON object");
  }
  // JSON.parse made it, and it is an object.
  return value as JsonObject;
}

/** The model that a body names. Throws CodecError when it names none. */
export function readModel(body: JsonObject): string {
  const { model } = body;
  if (model === undefined || model === null || model === "") {
    throw new CodecError("you must provide a model parameter", { code: "missing_required_parameter", param: "model" });
  }
  if (typeof model !== "string") {
    throw new CodecError("Invalid type for 'model': expected a string.", { code: "invalid_type", param: "model" });
  }
  return model;
}

function invalidJson(reason: string, cause?: unknown): CodecError {
  return new CodecError(`We could not parse the JSON body of your request: ${reason}.`, {
    code: "invalid_json",
    cause,
  });
}
