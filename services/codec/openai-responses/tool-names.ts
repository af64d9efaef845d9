import type { JsonObject } from "../codec.ts";
import { asString, parseJsonObject } from "../json/json-values.ts";

/**
 * What the Responses API says of a tool beside its name. No other dialect has namespaces or tools that take a text as it
 * is, so both are part of the name that goes to the provider, and are read off the name that comes back.
 */
export interface ToolName {
  /** Empty for a tool outside of any. */
  readonly namespace: string;
  readonly name: string;
  /** Whether its argument is a text rather than an object. */
  readonly takesText: boolean;
}

// Every provider allows these characters in names, and no client is known to put them there itself.
const AFTER_NAMESPACE = "--ns--";
const TAKES_TEXT = "--text";

/** The schema of a tool that takes a text, as that of a function. */
export const TEXT_PARAMETERS = JSON.stringify({
  type: "object",
  properties: { input: { type: "string", description: "The whole input, as it is." } },
  required: ["input"],
  additionalProperties: false,
});

/** The one name that stands for all of it. */
export function joinToolName({ namespace, name, takesText }: ToolName): string {
  return `${namespace === "" ? "" : `${namespace}${AFTER_NAMESPACE}`}${name}${takesText ? TAKES_TEXT : ""}`;
}

/** What was joined; a name that was not is a function's outside of any namespace. */
export function splitToolName(joined: string): ToolName {
  const takesText = joined.endsWith(TAKES_TEXT) && joined.length > TAKES_TEXT.length;
  const rest = takesText ? joined.slice(0, -TAKES_TEXT.length) : joined;
  const at = rest.indexOf(AFTER_NAMESPACE);
  return at <= 0
    ? { namespace: "", name: rest, takesText }
    : { namespace: rest.slice(0, at), name: rest.slice(at + AFTER_NAMESPACE.length), takesText };
}

/** The joined name of a call among the items of a request. */
export function readCallName(item: JsonObject): string {
  const takesText = item["type"] === "custom_tool_call";
  return joinToolName({ namespace: asString(item["namespace"]), name: asString(item["name"]), takesText });
}

/** The text that a call's arguments hold; empty where they were cut. */
export function textOfArguments(argumentsJson: string): string {
  return asString(parseJsonObject(argumentsJson)?.["input"]);
}
