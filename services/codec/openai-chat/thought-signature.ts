import type { JsonObject } from "../codec.ts";
import { asObject, asString } from "../json/json-values.ts";

/** Reads the signature that Gemini's compatible endpoint puts beside a tool call or a text; empty when there is none. */
export function readThoughtSignature(holder: JsonObject): string {
  const google = asObject(asObject(holder["extra_content"])?.["google"]);
  return asString(google?.["thought_signature"]) || asString(holder["thought_signature"]);
}

/** The field that carries a signature, for spreading into its holder; no field when the signature is empty. */
export function writeThoughtSignature(signature: string): JsonObject {
  return signature === "" ? {} : { extra_content: { google: { thought_signature: signature } } };
}
