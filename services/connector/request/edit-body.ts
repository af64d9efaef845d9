import { Buffer } from "node:buffer";
import { findMembers } from "./find-members.ts";

/** Members to set at the top level of a body, as JSON texts. */
export type BodyEdits = ReadonlyMap<string, string>;

/**
 * What limits and holds were worked out from. Parsers differ in which of two they take, so a body that has one of these
 * twice could cost more than was held: it is refused even where nothing of it is edited.
 */
const unrepeatable = [
  "model",
  "messages",
  "n",
  "stream",
  "stream_options",
  "max_tokens",
  "max_completion_tokens",
] as const;

/**
 * Sets members at the top level of a JSON body: one that is there keeps its place, a new one comes first. All other
 * bytes stay as they are, so unknown members, order and the spelling of numbers survive. A member that already has the
 * wanted text is not touched; when nothing is, the body itself is returned. Throws CodecError for a member that is edited
 * or was read for limits and stands there twice.
 */
export function editBody(body: Uint8Array, edits: BodyEdits): Uint8Array {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const members = findMembers(bytes, new Set([...unrepeatable, ...edits.keys()]));
  const changes: { readonly start: number; readonly end: number; readonly text: string }[] = [];
  let added = "";
  for (const [name, text] of edits) {
    const member = members.get(name);
    if (member === undefined) {
      added += `${JSON.stringify(name)}:${text},`;
    } else if (bytes.toString("utf8", member.valueStart, member.end) !== text) {
      changes.push({ start: member.valueStart, end: member.end, text });
    }
  }
  if (added !== "") {
    const open = bytes.indexOf(0x7b) + 1;
    // An empty object takes no comma after its last member.
    const text = /^\s*\}/.test(bytes.toString("latin1", open, open + 64)) ? added.slice(0, -1) : added;
    changes.push({ start: open, end: open, text });
  }
  if (changes.length === 0) {
    return bytes;
  }
  const pieces: Buffer[] = [];
  let at = 0;
  for (const change of changes.toSorted((a, b) => a.start - b.start)) {
    pieces.push(bytes.subarray(at, change.start), Buffer.from(change.text));
    at = change.end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}

/** The JSON text of a top level member; undefined when it is not there. */
export function memberText(body: Uint8Array, name: string): string | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const member = findMembers(bytes, new Set([name])).get(name);
  return member === undefined ? undefined : bytes.toString("utf8", member.valueStart, member.end);
}
