import { CodecError, type Json, type JsonObject } from "../codec.ts";

/** True for a JSON object, false for arrays and everything else. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for a JSON array. */
export function isJsonArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** The path of a field: `messages[1]` and `content` give `messages[1].content`. */
function joinPath(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

/** Checks that a value is an object; throws CodecError naming `path` otherwise. */
export function requireObject(value: Json | undefined, path: string): JsonObject {
  if (value === undefined || value === null) {
    throw missing(path);
  }
  if (!isJsonObject(value)) {
    throw wrongType(path, "an object");
  }
  return value;
}

/** Reads a field that may be absent or null. Throws CodecError (`invalid_type`) when it is not an object. */
export function readObject(object: JsonObject, key: string, path: string): JsonObject | undefined {
  const value = object[key] ?? undefined;
  return value === undefined ? undefined : requireObject(value, joinPath(path, key));
}

/** Reads a field that may be absent or null. Throws CodecError (`invalid_type`) when it is not an array. */
export function readArray(object: JsonObject, key: string, path: string): readonly Json[] | undefined {
  const value = object[key] ?? undefined;
  if (value !== undefined && !isJsonArray(value)) {
    throw wrongType(joinPath(path, key), "an array");
  }
  return value;
}

/** Reads a field that may be absent or null. Throws CodecError (`invalid_type`) when it is not a string. */
export function readString(object: JsonObject, key: string, path: string): string | undefined {
  const value = object[key] ?? undefined;
  if (value !== undefined && typeof value !== "string") {
    throw wrongType(joinPath(path, key), "a string");
  }
  return value;
}

/** Reads a string that must be there; it may be empty. Throws CodecError otherwise. */
export function requireString(object: JsonObject, key: string, path: string): string {
  const value = readString(object, key, path);
  if (value === undefined) {
    throw missing(joinPath(path, key));
  }
  return value;
}

/** Reads a string that must be there and not be empty. Throws CodecError otherwise. */
export function requireName(object: JsonObject, key: string, path: string): string {
  const value = requireString(object, key, path);
  if (value === "") {
    throw invalidValue(joinPath(path, key), "must not be empty");
  }
  return value;
}

/** Reads a field that may be absent or null. Throws CodecError (`invalid_type`) when it is not a boolean. */
export function readBoolean(object: JsonObject, key: string, path: string): boolean | undefined {
  const value = object[key] ?? undefined;
  if (value !== undefined && typeof value !== "boolean") {
    throw wrongType(joinPath(path, key), "a boolean");
  }
  return value;
}

/** Limits of a number, both included. */
export interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
}

/** Reads a number that may be absent or null. Throws CodecError when it is not one, or out of bounds. */
export function readNumber(
  object: JsonObject,
  key: string,
  path: string,
  bounds: NumberBounds = {},
): number | undefined {
  return checkNumber(object[key] ?? undefined, joinPath(path, key), bounds, "decimal");
}

/** Reads an integer that may be absent or null. Throws CodecError when it is not one, or out of bounds. */
export function readInteger(
  object: JsonObject,
  key: string,
  path: string,
  bounds: NumberBounds = {},
): bigint | undefined {
  const value = checkNumber(object[key] ?? undefined, joinPath(path, key), bounds, "integer");
  return value === undefined ? undefined : BigInt(value);
}

/** Reads a list of strings that may be absent or null. Throws CodecError (`invalid_type`) when it is not one. */
export function readStrings(object: JsonObject, key: string, path: string): readonly string[] {
  return (readArray(object, key, path) ?? []).map((value, index) => {
    if (typeof value !== "string") {
      throw wrongType(`${joinPath(path, key)}[${index}]`, "a string");
    }
    return value;
  });
}

/** A string field, or the empty string when it is absent or something else: for answers, which are read leniently. */
export function stringOrEmpty(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/**
 * A count of tokens as a provider sent it: never negative, never a fraction, at most 2^53 - 1, 0 for anything that is not
 * a number.
 */
export function tokenCount(value: Json | undefined): bigint {
  return typeof value === "number" && value > 0 ? BigInt(Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER)) : 0n;
}

/** A count as a JSON number. Counts of tokens are far below 2^53, so nothing is lost. */
export function toJsonNumber(count: bigint): number {
  return Number(count);
}

/** Parses JSON text that must hold an object; empty text counts as `{}`. Throws CodecError naming `path` otherwise. */
export function parseJsonObject(text: string, path: string): JsonObject {
  if (text.trim() === "") {
    return {};
  }
  const value = parseJson(text, path);
  if (!isJsonObject(value)) {
    throw wrongType(path, "a JSON object");
  }
  return value;
}

/** Parses JSON text; throws CodecError (`invalid_json`) naming `path`. */
export function parseJson(text: string, path: string): Json {
  try {
    // JSON.parse makes nothing but JSON values.
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new CodecError(`${path} is not valid JSON`, { param: path, code: "invalid_json", cause });
  }
}

/** The error for a field that has to be there. */
export function missing(path: string): CodecError {
  return new CodecError(`${path} is required`, { param: path, code: "missing_required_parameter" });
}

/** The error for a value of the wrong type; `expected` reads like "a string". */
export function wrongType(path: string, expected: string): CodecError {
  return new CodecError(`${path} must be ${expected}`, { param: path, code: "invalid_type" });
}

/** The error for a value of the right type that is not allowed; `problem` reads like "must not be empty". */
export function invalidValue(path: string, problem: string): CodecError {
  return new CodecError(`${path} ${problem}`, { param: path, code: "invalid_value" });
}

/** The error for something that cannot be translated without changing its meaning. */
export function unsupported(path: string, problem: string): CodecError {
  return new CodecError(`${path} ${problem}`, { param: path, code: "unsupported_feature" });
}

function checkNumber(
  value: Json | undefined,
  path: string,
  bounds: NumberBounds,
  kind: "integer" | "decimal",
): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (typeof value !== "number" || !Number.isFinite(value) || (kind === "integer" && !Number.isSafeInteger(value))) {
    throw wrongType(path, kind === "integer" ? "an integer" : "a number");
  }
  if (bounds.min !== undefined && value < bounds.min) {
    throw new CodecError(`${path} must be at least ${bounds.min}`, { param: path, code: `${kind}_below_min_value` });
  }
  if (bounds.max !== undefined && value > bounds.max) {
    throw new CodecError(`${path} must be at most ${bounds.max}`, { param: path, code: `${kind}_above_max_value` });
  }
  return value;
}
