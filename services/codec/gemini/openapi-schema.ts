import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";

/**
 * Turns the schema of OpenAPI 3.0 that Gemini's `parameters` and `responseSchema` are written in into JSON Schema: type
 * words in lower case, and `nullable` as a second type.
 */
export function toJsonSchema(schema: JsonObject): JsonObject {
  const { nullable, ...rest } = schema;
  const converted: Record<string, Json | undefined> = {};
  for (const [key, value] of Object.entries(rest)) {
    converted[key] = convertField(key, value);
  }
  const { type } = converted;
  return nullable === true && typeof type === "string" ? { ...converted, type: [type, "null"] } : converted;
}

function convertField(key: string, value: Json | undefined): Json | undefined {
  if (key === "type") {
    return typeof value === "string" ? value.toLowerCase() : value;
  }
  if (key === "properties" && isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, convertInner(inner)]));
  }
  if (key === "items") {
    return convertInner(value);
  }
  if ((key === "anyOf" || key === "any_of") && isJsonArray(value)) {
    return value.map((inner) => convertInner(inner) ?? null);
  }
  // protobuf's JSON form writes these int64 fields as strings, and JSON Schema wants numbers.
  return INTEGER_FIELDS.has(key) && typeof value === "string" ? Number(value) : value;
}

const INTEGER_FIELDS: ReadonlySet<string> = new Set([
  "minItems",
  "maxItems",
  "minLength",
  "maxLength",
  "minProperties",
  "maxProperties",
]);

function convertInner(value: Json | undefined): Json | undefined {
  return isJsonObject(value) ? toJsonSchema(value) : value;
}
