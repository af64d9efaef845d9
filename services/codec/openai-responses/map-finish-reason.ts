import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { JsonObject } from "../codec.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";

/** Why a response ended. */
export interface ResponseEnd {
  readonly finishReason: FinishReason;
  /** The reason of an incomplete response, else its status. */
  readonly native: string;
}

const CALL_TYPES = new Set(["function_call", "custom_tool_call"]);

/**
 * Reads why a response ended. A completed one asks for tools when its output holds a call; an incomplete one met a limit
 * unless it says that a filter cut it; any other status means that it is not complete.
 */
export function readResponseEnd(response: JsonObject): ResponseEnd {
  const status = asString(response["status"]);
  if (status === "completed") {
    const calls = asArray(response["output"]).some((item) => CALL_TYPES.has(asString(asObject(item)?.["type"])));
    return { finishReason: calls ? FinishReason.TOOL_CALLS : FinishReason.STOP, native: status };
  }
  if (status === "incomplete") {
    const reason = asString(asObject(response["incomplete_details"])?.["reason"]);
    const finishReason = reason === "content_filter" ? FinishReason.CONTENT_FILTER : FinishReason.LENGTH;
    return { finishReason, native: reason || status };
  }
  return { finishReason: FinishReason.UNSPECIFIED, native: status };
}

/** How a response ends in this dialect. */
export interface WrittenEnd {
  readonly status: "completed" | "incomplete" | "failed";
  readonly incomplete_details: { readonly reason: string } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** Writes why an answer ended; one without a reason is not complete. */
export function writeResponseEnd(reason: FinishReason): WrittenEnd {
  switch (reason) {
    case FinishReason.STOP:
    case FinishReason.TOOL_CALLS:
      return { status: "completed", incomplete_details: null, error: null };
    case FinishReason.LENGTH:
      return { status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, error: null };
    case FinishReason.CONTENT_FILTER:
      return { status: "incomplete", incomplete_details: { reason: "content_filter" }, error: null };
    case FinishReason.ERROR: {
      const error = { code: "server_error", message: "The provider reported that generation failed." };
      return { status: "failed", incomplete_details: null, error };
    }
    default:
      return { status: "incomplete", incomplete_details: null, error: null };
  }
}
