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
  const digest = hashOf(id, 0x811c9dc5) + hashOf(id, 0x9e3779b9);
  return `${plain.slice(0, LONGEST_ID - digest.length - 1)}_${digest}`;
}

/** FNV-1a, 32 bits from a basis; two of them tell the calls of one conversation apart. */
function hashOf(text: string, basis: number): string {
  let hash = basis;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}
