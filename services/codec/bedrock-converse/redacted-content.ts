// Converse wraps an encrypted thought in base64, and what it wraps is mostly the very text that the maker's own API
// sends. Unwrapped it means the same to both, so a conversation may go on at either.

const BYTES = "bytes:";

/** The encrypted thought behind Converse's base64. Other bytes than readable text stay base64, and are marked so. */
export function unwrapRedacted(base64: string): string {
  const text = Buffer.from(base64, "base64").toString("latin1");
  const isText = /^[\x21-\x7e]+$/.test(text) && !text.startsWith(BYTES);
  return isText ? text : BYTES + base64;
}

/** The opposite of `unwrapRedacted`. */
export function wrapRedacted(redacted: string): string {
  return redacted.startsWith(BYTES) ? redacted.slice(BYTES.length) : Buffer.from(redacted, "utf8").toString("base64");
}
