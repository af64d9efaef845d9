import { CodecError, type Json } from "../codec.ts";

/** A required parameter is not there. */
export function missingParameter(param: string): CodecError {
  return new CodecError(`Missing required parameter: '${param}'.`, { param, code: "missing_required_parameter" });
}

/** A parameter has another type than `expected`, which reads like "a string". */
export function invalidType(param: string, expected: string, value: Json | undefined): CodecError {
  return new CodecError(`Invalid type for '${param}': expected ${expected}, but got ${nameOfType(value)} instead.`, {
    param,
    code: "invalid_type",
  });
}

/** A parameter has the right type and a value that is not one of the supported ones. */
export function invalidValue(param: string, value: string, supported: readonly string[]): CodecError {
  const names = supported.map((name) => `'${name}'`).join(", ");
  return new CodecError(`Invalid value: '${shorten(value)}'. Supported values are: ${names}.`, {
    param,
    code: "invalid_value",
  });
}

/** A parameter breaks a rule that `message` states. */
export function brokenRule(param: string, message: string, code = "invalid_value"): CodecError {
  return new CodecError(message, { param, code });
}

/** An array has more elements than `maximum`. */
export function arrayTooLong(param: string, maximum: number, length: number): CodecError {
  return new CodecError(
    `Invalid '${param}': array too long. Expected an array with maximum length ${maximum}, but got an array with length ${length} instead.`,
    { param, code: "array_above_max_length" },
  );
}

/** An array that must not be empty is. */
export function emptyArray(param: string): CodecError {
  return new CodecError(
    `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    { param, code: "empty_array" },
  );
}

/** A string is longer than `maximum` UTF-16 units. */
export function stringTooLong(param: string, maximum: number, length: number): CodecError {
  return new CodecError(
    `Invalid '${param}': string too long. Expected a string with maximum length ${maximum}, but got a string with length ${length} instead.`,
    { param, code: "string_above_max_length" },
  );
}

/** The request uses something that the gateway cannot translate to another provider's dialect. */
export function unsupportedParameter(param: string, reason: string): CodecError {
  return new CodecError(`Unsupported parameter: '${param}' ${reason}.`, { param, code: "unsupported_parameter" });
}

function nameOfType(value: Json | undefined): string {
  switch (typeof value) {
    case "string":
      return "a string";
    case "number":
      return Number.isInteger(value) ? "an integer" : "a decimal";
    case "boolean":
      return "a boolean";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "an array" : "an object";
    default:
      return "nothing";
  }
}

// Error messages are logged and sent back: a megabyte of hostile input must not travel with them.
function shorten(value: string): string {
  return value.length > 64 ? `${value.slice(0, 64)}…` : value;
}
