import { CodecError } from "#codec/codec.ts";

/** Where a member of the top level object stands in the bytes: from its key's quote to the end of its value. */
export interface MemberRange {
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

const quote = 0x22;
const backslash = 0x5c;
const nearBytes = 48;

/**
 * Finds members of the top level object of a JSON text without parsing it, so that a body can be changed at a few
 * places and stay byte for byte the same at all others. The text must be valid JSON, which the ingress has made sure of.
 * A name that stands there twice is refused: parsers disagree about which of the two counts.
 */
export function findMembers(body: Buffer, wanted: (name: string) => boolean): ReadonlyMap<string, MemberRange> {
  const found = new Map<string, MemberRange>();
  let at = skipSpace(body, 0);
  if (body[at] !== 0x7b) {
    throw new CodecError("the body is not a JSON object", { code: "invalid_type" });
  }
  at = skipSpace(body, at + 1);
  while (at < body.length && body[at] !== 0x7d) {
    const start = at;
    const keyEnd = skipString(body, at);
    const name = keyOf(body, start, keyEnd);
    const valueStart = skipSpace(body, skipSpace(body, keyEnd) + 1);
    const end = skipValue(body, valueStart);
    if (wanted(name)) {
      if (found.has(name)) {
        throw new CodecError(`the body has two members ${name}`, { code: "duplicate_parameter", param: name });
      }
      found.set(name, { start, valueStart, end });
    }
    at = skipSpace(body, end);
    if (body[at] === 0x2c) {
      at = skipSpace(body, at + 1);
    }
  }
  return found;
}

function keyOf(body: Buffer, start: number, end: number): string {
  for (let at = start + 1; at < end - 1; at += 1) {
    const byte = body[at] ?? 0;
    if (byte === backslash || byte > 0x7e) {
      const raw = body.toString("utf8", start + 1, end - 1);
      // An escaped key ("model") means the same as a plain one, and must not hide from the search.
      return raw.includes("\\") ? String(JSON.parse(`"${raw}"`)) : raw;
    }
  }
  return body.toString("latin1", start + 1, end - 1);
}

/** The place of the first byte from `from` on that is no white space. */
export function skipSpace(body: Buffer, from: number): number {
  let at = from;
  for (let byte = body[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = body[at]) {
    at += 1;
  }
  return at;
}

/** Returns the place after the closing quote of the string that opens at `from`. */
function skipString(body: Buffer, from: number): number {
  // Most strings are shorter than what a call of the native search costs.
  const near = Math.min(body.length, from + nearBytes);
  for (let at = from + 1; at < near; at += 1) {
    const byte = body[at];
    if (byte === quote) {
      return at + 1;
    }
    if (byte === backslash) {
      at += 1;
    }
  }
  return skipLongString(body, from);
}

function skipLongString(body: Buffer, from: number): number {
  let at = from;
  for (;;) {
    at = body.indexOf(quote, at + 1);
    if (at === -1) {
      return body.length;
    }
    let backslashes = 0;
    while (body[at - 1 - backslashes] === backslash) {
      backslashes += 1;
    }
    if (backslashes % 2 === 0) {
      return at + 1;
    }
  }
}

function skipValue(body: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  while (at < body.length) {
    const byte = body[at];
    if (byte === quote) {
      at = skipString(body, at);
      if (depth === 0) {
        return at;
      }
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
    } else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) {
        return at;
      }
      depth -= 1;
      if (depth === 0) {
        return at + 1;
      }
    } else if (byte === 0x2c && depth === 0) {
      return trimEnd(body, at);
    }
    at += 1;
  }
  return at;
}

function trimEnd(body: Buffer, from: number): number {
  let at = from;
  for (let byte = body[at - 1]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = body[at - 1]) {
    at -= 1;
  }
  return at;
}
