import { Buffer } from "node:buffer";
import { findMembers, skipSpace } from "./find-members.ts";

const comma = 0x2c;

/** Members to set at the top level of a body, as JSON texts; those without a text are taken out. */
export type BodyEdits = ReadonlyMap<string, string | undefined>;

/**
 * What limits and holds were worked out from, and what names something that a provider keeps. Parsers differ in which of
 * two they take, so a body that has one of these twice could cost more than was held, or use what is another tenant's: it
 * is refused even where nothing of it is edited.
 */
const unrepeatable: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "prompt",
  "best_of",
  "query",
  "documents",
  "input",
  "images",
  "n",
  "stream",
  "stream_options",
  "max_tokens",
  "max_completion_tokens",
  "background",
  "conversation",
  "thread",
  "cachedContent",
  "cached_content",
]);

/**
 * Sets members at the top level of a JSON body: one that is there keeps its place, a new one comes first. All other
 * bytes stay as they are, so unknown members, order and the spelling of numbers survive. A member that already has the
 * wanted text is not touched; when nothing is, the body itself is returned. Throws CodecError for a member that is edited
 * or was read for limits and stands there twice.
 */
export function editBody(body: Uint8Array, edits: BodyEdits): Uint8Array {
  const bytes = withoutMembers(bufferOf(body), edits);
  const members = findMembers(bytes, (name) => unrepeatable.has(name) || edits.has(name));
  const changes: Change[] = [];
  let added = "";
  for (const [name, text] of edits) {
    const member = members.get(name);
    if (text === undefined) {
      continue;
    }
    if (member === undefined) {
      added += `${JSON.stringify(name)}:${text},`;
    } else if (bytes.toString("utf8", member.valueStart, member.end) !== text) {
      changes.push({ start: member.valueStart, end: member.end, text });
    }
  }
  if (added !== "") {
    const open = skipSpace(bytes, 0) + 1;
    // An empty object takes no comma after its last member.
    const text = bytes[skipSpace(bytes, open)] === 0x7d ? added.slice(0, -1) : added;
    changes.push({ start: open, end: open, text });
  }
  return changes.length === 0 ? bytes : applyChanges(bytes, changes);
}

/** The JSON text of a top level member; undefined when it is not there. */
export function memberText(body: Uint8Array, name: string): string | undefined {
  const bytes = bufferOf(body);
  const member = findMembers(bytes, (found) => found === name).get(name);
  return member === undefined ? undefined : bytes.toString("utf8", member.valueStart, member.end);
}

function withoutMembers(body: Buffer, edits: BodyEdits): Buffer {
  let bytes = body;
  for (const [name, text] of edits) {
    const member = text === undefined ? findMembers(bytes, (found) => found === name).get(name) : undefined;
    if (member === undefined) {
      continue;
    }
    // One comma goes with the member: the one behind it, or for the last member the one in front of it.
    const next = skipSpace(bytes, member.end);
    const isLast = bytes[next] !== comma;
    const before = isLast ? bytes.lastIndexOf(comma, member.start) : -1;
    const start = before === -1 ? member.start : before;
    const end = isLast ? member.end : skipSpace(bytes, next + 1);
    bytes = applyChanges(bytes, [{ start, end, text: "" }]);
  }
  return bytes;
}

interface Change {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function applyChanges(bytes: Buffer, changes: Change[]): Buffer {
  let length = bytes.length;
  for (const { start, end, text } of changes) {
    length += Buffer.byteLength(text) - (end - start);
  }
  const edited = Buffer.allocUnsafe(length);
  let from = 0;
  let at = 0;
  for (const { start, end, text } of changes.sort((a, b) => a.start - b.start)) {
    at += bytes.copy(edited, at, from, start);
    at += edited.write(text, at);
    from = end;
  }
  bytes.copy(edited, at, from);
  return edited;
}

function bufferOf(body: Uint8Array): Buffer {
  return body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}
