import type { DecodedError, Json } from "../codec.ts";
import { LONGEST_MESSAGE, readLooseMessage } from "../json/find-error.ts";
import { isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";

/**
 * Reads `{message}` with the kind in `__type`, which is there only in frames of a stream and in answers of services that
 * were asked for an unknown operation; for others the kind is in a header field.
 */
export function decodeError(body: Json | undefined): DecodedError {
  const outer = isJsonObject(body) ? body : {};
  const inner = asObject(outer["Output"]) ?? outer;
  const type = stringOrEmpty(inner["__type"]).replace(/^.*#/, "").slice(0, LONGEST_MESSAGE);
  const said = stringOrEmpty(outer["originalMessage"]) || readLooseMessage(body);
  const isKindOnly = said === "" || asObject(outer["Output"]) !== undefined;
  return {
    message: isKindOnly && type !== "" ? `the provider answered with ${type}` : said.slice(0, LONGEST_MESSAGE),
    type,
    code: "",
    param: "",
    retryDelayMs: undefined,
  };
}
