import { Buffer } from "node:buffer";
import { CodecError } from "#codec/codec.ts";

/** A string of a JSON text, and where it stands with its quotes. */
export interface FoundString {
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

/** An object of a JSON text that has members of interest. */
export interface FoundObject {
  /** The member that holds the object, or the array that the object is in; empty for the outermost. */
  readonly holder: string;
  /** How many objects are around it. */
  readonly depth: number;
  /** Its members of interest: a string, or the strings of an array. */
  readonly members: ReadonlyMap<string, readonly FoundString[]>;
}

/** What is looked for. */
export interface WantedMembers {
  readonly names: ReadonlySet<string>;
  /** Members in which nothing is looked for, since callers put what they like into them. */
  readonly opaque: ReadonlySet<string>;
}

const quote = 0x22;
const backslash = 0x5c;

/**
 * Finds members that are strings or arrays of strings, at any depth, in a JSON text that is known to be valid and not
 * deep. By bytes rather than by parsing, so that also what a parser would overlook is found: in a member that stands there
 * twice, either may count for the provider. A member of interest that an object has twice is refused with CodecError.
 */
export function findReferences(text: Buffer, wanted: WantedMembers): readonly FoundObject[] {
  const scan = new Scan(text, wanted);
  scan.value("", 0);
  return scan.found;
}

class Scan {
  readonly found: FoundObject[] = [];
  readonly #text: Buffer;
  readonly #wanted: WantedMembers;
  #at = 0;

  constructor(text: Buffer, wanted: WantedMembers) {
    this.#text = text;
    this.#wanted = wanted;
  }

  value(holder: string, depth: number): void {
    this.#space();
    switch (this.#text[this.#at]) {
      case 0x7b:
        this.#object(holder, depth);
        return;
      case 0x5b:
        this.#array(holder, depth);
        return;
      case quote:
        this.#skipString();
        return;
      default:
        this.#skipWord();
    }
  }

  #object(holder: string, depth: number): void {
    const members = new Map<string, FoundString[]>();
    const seen = new Set<string>();
    this.#at += 1;
    for (this.#space(); this.#at < this.#text.length && this.#text[this.#at] !== 0x7d; this.#space()) {
      const name = this.#string().value;
      this.#space();
      // The colon.
      this.#at += 1;
      this.#space();
      if (this.#wanted.names.has(name)) {
        if (seen.has(name)) {
          throw new CodecError(`the body has two members ${name} in one object`, {
            code: "duplicate_parameter",
            param: name,
          });
        }
        seen.add(name);
        const strings = this.#strings(name, depth);
        if (strings.length > 0) {
          members.set(name, strings);
        }
      } else if (this.#wanted.opaque.has(name)) {
        this.#skipValue();
      } else {
        this.value(name, depth + 1);
      }
      this.#comma();
    }
    this.#at += 1;
    if (members.size > 0) {
      this.found.push({ holder, depth, members });
    }
  }

  #array(holder: string, depth: number): void {
    this.#at += 1;
    for (this.#space(); this.#at < this.#text.length && this.#text[this.#at] !== 0x5d; this.#space()) {
      this.value(holder, depth);
      this.#comma();
    }
    this.#at += 1;
  }

  /** The value of a member of interest, whatever it is: its strings, or nothing when it is something else. */
  #strings(name: string, depth: number): FoundString[] {
    if (this.#text[this.#at] === quote) {
      return [this.#string()];
    }
    if (this.#text[this.#at] !== 0x5b) {
      this.value(name, depth + 1);
      return [];
    }
    const strings: FoundString[] = [];
    this.#at += 1;
    for (this.#space(); this.#at < this.#text.length && this.#text[this.#at] !== 0x5d; this.#space()) {
      if (this.#text[this.#at] === quote) {
        strings.push(this.#string());
      } else {
        this.value(name, depth + 1);
      }
      this.#comma();
    }
    this.#at += 1;
    return strings;
  }

  #string(): FoundString {
    const start = this.#at;
    this.#skipString();
    const raw = this.#text.toString("utf8", start, this.#at);
    return { value: raw.includes("\\") ? String(JSON.parse(raw)) : raw.slice(1, -1), start, end: this.#at };
  }

  #skipString(): void {
    let at = this.#at;
    for (;;) {
      at = this.#text.indexOf(quote, at + 1);
      if (at === -1) {
        this.#at = this.#text.length;
        return;
      }
      let backslashes = 0;
      while (this.#text[at - 1 - backslashes] === backslash) {
        backslashes += 1;
      }
      if (backslashes % 2 === 0) {
        this.#at = at + 1;
        return;
      }
    }
  }

  #skipValue(): void {
    let open = 0;
    do {
      const byte = this.#text[this.#at];
      if (byte === quote) {
        this.#skipString();
      } else if (byte === 0x7b || byte === 0x5b) {
        open += 1;
        this.#at += 1;
      } else if (byte === 0x7d || byte === 0x5d) {
        open -= 1;
        this.#at += 1;
      } else if (open > 0) {
        this.#at += 1;
      } else {
        this.#skipWord();
      }
    } while (open > 0 && this.#at < this.#text.length);
  }

  /** A number, true, false or null. */
  #skipWord(): void {
    this.#at += 1;
    for (let byte = this.#text[this.#at]; byte !== undefined; byte = this.#text[this.#at]) {
      if (byte === 0x2c || byte === 0x7d || byte === 0x5d || byte <= 0x20) {
        return;
      }
      this.#at += 1;
    }
  }

  #comma(): void {
    this.#space();
    if (this.#text[this.#at] === 0x2c) {
      this.#at += 1;
    }
  }

  #space(): void {
    for (let byte = this.#text[this.#at]; byte !== undefined && byte <= 0x20; byte = this.#text[this.#at]) {
      this.#at += 1;
    }
  }
}

/**
 * Whether a JSON text can have one of the words in a name: it has the word as it is, or a letter of some text is written
 * as an escape. Costs a native search for each word.
 */
export function mayName(text: Buffer, words: readonly string[]): boolean {
  return words.some((word) => text.includes(word)) || hasEscapedLetter(text);
}

function hasEscapedLetter(text: Buffer): boolean {
  for (let at = text.indexOf("\\u00"); at !== -1; at = text.indexOf("\\u00", at + 4)) {
    const digit = text[at + 4] ?? 0;
    // The letters and the underscore are from \u0041 to \u007a.
    if (digit >= 0x34 && digit <= 0x37) {
      return true;
    }
  }
  return false;
}

/** The text with other strings at some places; all other bytes stay as they are. */
export function replaceStrings(
  text: Buffer,
  changes: readonly { readonly at: FoundString; readonly value: string }[],
): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const { at, value } of changes.toSorted((a, b) => a.at.start - b.at.start)) {
    pieces.push(text.subarray(from, at.start), Buffer.from(JSON.stringify(value)));
    from = at.end;
  }
  return Buffer.concat([...pieces, text.subarray(from)]);
}
