import { createHash } from "node:crypto";
import type { ModelFamily } from "./model-family.ts";

const LONGEST_ID = 64;

/**
 * An id of a call that Bedrock accepts; two ids that differ stay different. Claude takes fewer characters than others,
 * some of which make ids with dots and colons of their own.
 */
export function encodeToolUseId(id: string, family: ModelFamily): string {
  const refused = family === "claude" ? /[^a-zA-Z0-9_-]/g : /[^a-zA-Z0-9_.:-]/g;
  const plain = id.replaceAll(refused, (character) => `_${character.codePointAt(0)?.toString(16) ?? ""}_`);
  if (plain.length > 0 && plain.length <= LONGEST_ID) {
    return plain;
  }
  const digest = createHash("sha256").update(id).digest("hex").slice(0, 24);
  return `${plain.slice(0, LONGEST_ID - digest.length - 1)}_${digest}`;
}
