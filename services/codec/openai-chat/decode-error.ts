import type { DecodedError, Json, JsonObject } from "../codec.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";

const NOTHING: DecodedError = { message: "", type: "", code: "", param: "", retryDelayMs: undefined };

/**
 * Reads the error body of an OpenAI-compatible server: `{error: {…}}`, `{error: "…"}`, `{message}`, `{detail}`, an
 * array of these, or text. Never throws.
 */
export function decodeError(body: Json | undefined): DecodedError {
  if (typeof body === "string") {
    // An HTML page of some proxy says nothing that a caller could use.
    return { ...NOTHING, message: body.trimStart().startsWith("<") ? "" : body };
  }
  if (isJsonArray(body)) {
    return decodeError(asObject(body[0]));
  }
  const outer = asObject(body);
  if (outer === undefined) {
    return NOTHING;
  }
  const error = outer["error"];
  const inner = asObject(error);
  if (inner !== undefined) {
    return {
      message: textOf(inner["message"]) || textOf(outer["message"]),
      type: textOf(inner["type"]) || textOf(inner["status"]) || textOf(outer["type"]),
      code: textOf(inner["code"]) || textOf(outer["code"]),
      param: textOf(inner["param"]),
      retryDelayMs: undefined,
    };
  }
  return {
    message: textOf(error) || textOf(outer["message"]) || detailOf(outer),
    type: textOf(outer["type"]),
    code: textOf(outer["code"]),
    param: textOf(outer["param"]),
    retryDelayMs: undefined,
  };
}

// FastAPI servers answer `{detail: "…"}`, or `{detail: [{loc, msg, type}]}` for a body that fails validation.
function detailOf(outer: JsonObject): string {
  const detail = outer["detail"];
  if (!isJsonArray(detail)) {
    return textOf(detail);
  }
  return detail
    .map((entry) => textOf(asObject(entry)?.["msg"]))
    .filter((text) => text !== "")
    .join("; ");
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}
