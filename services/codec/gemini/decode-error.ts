import { findError, readLooseMessage } from "../json/find-error.ts";
import { isJsonArray, isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import type { DecodedError, Json, JsonObject } from "../codec.ts";

const LONGEST_MESSAGE = 2000;

/**
 * Reads Google's error: `type` is its status word, `code` the reason that its details give (`API_KEY_INVALID`), or the
 * quota that is used up, which tells a limit by the day from one by the minute. Takes every other shape, too.
 */
export function decodeError(body: Json | undefined): DecodedError {
  const error = findError(body);
  if (error === undefined) {
    return { message: readLooseMessage(body), type: "", code: "", param: "", retryDelayMs: undefined };
  }
  const details = (isJsonArray(error["details"]) ? error["details"] : []).filter(isJsonObject);
  return {
    message: stringOrEmpty(error["message"]).slice(0, LONGEST_MESSAGE),
    type: stringOrEmpty(error["status"]),
    code: readReason(details) || readQuotaId(details),
    param: readField(details),
    retryDelayMs: readRetryDelay(details),
  };
}

function readReason(details: readonly JsonObject[]): string {
  return stringOrEmpty(findDetail(details, "ErrorInfo")?.["reason"]);
}

function readQuotaId(details: readonly JsonObject[]): string {
  return stringOrEmpty(firstOf(findDetail(details, "QuotaFailure")?.["violations"])["quotaId"]);
}

function readField(details: readonly JsonObject[]): string {
  return stringOrEmpty(firstOf(findDetail(details, "BadRequest")?.["fieldViolations"])["field"]);
}

function readRetryDelay(details: readonly JsonObject[]): number | undefined {
  const delay = stringOrEmpty(findDetail(details, "RetryInfo")?.["retryDelay"]);
  const match = /^(\d+(?:\.\d+)?)s$/.exec(delay);
  return match === null ? undefined : Math.ceil(Number(match[1]) * 1000);
}

function findDetail(details: readonly JsonObject[], type: string): JsonObject | undefined {
  return details.find((detail) => stringOrEmpty(detail["@type"]).endsWith(`.${type}`));
}

function firstOf(list: Json | undefined): JsonObject {
  const first = isJsonArray(list) ? list[0] : undefined;
  return isJsonObject(first) ? first : {};
}
