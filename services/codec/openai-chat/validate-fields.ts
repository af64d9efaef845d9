import type { Json, JsonObject } from "../codec.ts";
import { brokenRule, invalidType, stringTooLong } from "./request-errors.ts";

// What all endpoints of OpenAI check alike. Everything here throws CodecError in OpenAI's words.

/** What a number has to be: both limits are allowed. */
export interface NumberRule {
  readonly field: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly integer: boolean;
}

// Fields by which other gateways let callers choose where and as whom a request goes. Here the route decides.
const REFUSED_FIELDS = ["api_base", "base_url", "api_key", "extra_headers", "custom_llm_provider"];

/** Refuses the fields that no endpoint takes. */
export function validateAllowed(body: JsonObject): void {
  for (const field of REFUSED_FIELDS) {
    if (body[field] !== undefined) {
      throw brokenRule(field, `Unknown parameter: '${field}'.`, "unknown_parameter");
    }
  }
}

/** Checks numbers that may be absent or null. */
export function validateNumbers(body: JsonObject, rules: readonly NumberRule[]): void {
  for (const rule of rules) {
    validateNumber(body[rule.field], rule);
  }
}

/** Checks a number that may be absent or null. */
export function validateNumber(value: Json | undefined, rule: NumberRule): void {
  if (value === undefined || value === null) {
    return;
  }
  const { field, minimum, maximum, integer } = rule;
  const kind = integer ? "integer" : "decimal";
  if (typeof value !== "number" || (integer && Number.isFinite(value) && !Number.isInteger(value))) {
    throw invalidType(field, integer ? "an integer" : "a decimal", value);
  }
  const shown = !integer && Number.isInteger(value) ? value.toFixed(1) : String(value);
  if (value > maximum) {
    const message = `Invalid '${field}': ${kind} above maximum value. Expected a value <= ${maximum}, but got ${shown} instead.`;
    throw brokenRule(field, message, `${kind}_above_max_value`);
  }
  if (value < minimum) {
    const message = `Invalid '${field}': ${kind} below minimum value. Expected a value >= ${minimum}, but got ${shown} instead.`;
    throw brokenRule(field, message, `${kind}_below_min_value`);
  }
}

/** Checks booleans that may be absent or null. */
export function validateBooleans(body: JsonObject, fields: readonly string[]): void {
  for (const field of fields) {
    const value = body[field];
    if (value !== undefined && value !== null && typeof value !== "boolean") {
      throw invalidType(field, "a boolean", value);
    }
  }
}

/** Checks a string that may be absent or null, and its length in UTF-16 units. */
export function validateString(value: Json | undefined, param: string, maximum: number): void {
  if (value === undefined || value === null) {
    return;
  }
  if (typeof value !== "string") {
    throw invalidType(param, "a string", value);
  }
  if (value.length > maximum) {
    throw stringTooLong(param, maximum, value.length);
  }
}
