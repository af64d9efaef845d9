import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "./json-fields.ts";

/** The value when it is an object, else undefined. */
export function asObject(value: Json | undefined): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined;
}

/** The value when it is an array, else an empty one. */
export function asArray(value: Json | undefined): readonly Json[] {
  return isJsonArray(value) ? value : [];
}

/** The value when it is a string, else the empty string. */
export function asString(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The value when it is a finite number, else undefined. */
export function asNumber(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** The value when it can be a place in a list, else undefined. */
export function asIndex(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff ? value : undefined;
}

/** Seconds since 1970, when the value is a time from then to the year 9999, else undefined. */
export function asEpochSeconds(value: Json | undefined): bigint | undefined {
  return typeof value === "number" && value >= 1 && value <= 253_402_300_799 ? BigInt(Math.trunc(value)) : undefined;
}

/** The value when it is a boolean, else undefined. */
export function asBoolean(value: Json | undefined): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

/** Sets a key of an object under construction when there is a value for it. */
export function setDefined(target: Record<string, Json>, key: string, value: Json | undefined): void {
  if (value !== undefined) {
    target[key] = value;
  }
}

/** The JSON object that a text holds; undefined when the text holds anything else. */
export function parseJsonObject(text: string): JsonObject | undefined {
  try {
    // Whatever JSON.parse makes is a Json.
    const value = JSON.parse(text) as Json;
    return isJsonObject(value) ? value : undefined;
  } catch {
    // Callers decide what text that is not JSON means; undefined says it.
    return undefined;
  }
}
