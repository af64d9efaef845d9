import type { DecodedError, Json } from "../codec.ts";
import { LONGEST_MESSAGE, readLooseMessage } from "../json/find-error.ts";
import { isJsonObject, stringOrEmpty } from "../json/json-fields.ts";

/** Cohere's words for mistakes, as OpenAI calls them. */
const CODES: ReadonlyMap<string, string> = new Map([["TOO_MANY_TOKENS", "context_length_exceeded"]]);

/**
 * Reads Cohere's `{id, message, error_type}`, the end of a stream or answer that says why it failed, and every other
 * shape that proxies answer with.
 */
export function decodeError(body: Json | undefined): DecodedError {
  const outer = isJsonObject(body) ? body : {};
  const failure = isJsonObject(outer["delta"]) ? outer["delta"] : outer;
  const type = stringOrEmpty(failure["error_type"]);
  const finish = stringOrEmpty(failure["finish_reason"]);
  const message = finish === "" ? readLooseMessage(body) : stringOrEmpty(failure["error"]).slice(0, LONGEST_MESSAGE);
  return {
    message: message === "" && finish !== "" ? `the provider ended the answer with ${finish}` : message,
    type: type === "" ? finish : type,
    code: CODES.get(type) ?? "",
    param: "",
    retryDelayMs: undefined,
  };
}
