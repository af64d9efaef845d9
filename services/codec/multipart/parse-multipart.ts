import { Buffer } from "node:buffer";
import { CodecError } from "../codec.ts";

/** One part of a multipart body. Its value is between two places of the body. */
export interface MultipartPart {
  readonly name: string;
  /** Undefined for a plain field; a file has one, even if it is empty. */
  readonly filename: string | undefined;
  readonly start: number;
  readonly end: number;
}

const MOST_PARTS = 256;
const MOST_HEADER_BYTES = 8 * 1024;
const LONGEST_BOUNDARY = 200;
const CRLF = "\r\n";

/**
 * Finds the parts of a multipart/form-data body, whose content type has the boundary. Copies no value, and looks at each
 * byte a fixed number of times. Takes only what all parsers read alike, since a provider must not see another field than
 * the gateway did: everything else throws CodecError.
 */
export function parseMultipart(body: Buffer, contentType: string): readonly MultipartPart[] {
  const delimiter = Buffer.from(`${CRLF}--${readBoundary(contentType)}`, "latin1");
  const opening = delimiter.subarray(CRLF.length);
  const parts: MultipartPart[] = [];
  let at = body.indexOf(opening) === 0 ? opening.length : afterPreamble(body, delimiter);
  for (;;) {
    if (body[at] === 0x2d && body[at + 1] === 0x2d) {
      return parts;
    }
    if (parts.length >= MOST_PARTS) {
      throw malformed(`it has more than ${MOST_PARTS} parts`);
    }
    const headerStart = skipPadding(body, at);
    const headerEnd = body.subarray(0, headerStart + MOST_HEADER_BYTES).indexOf(CRLF + CRLF, headerStart, "latin1");
    if (headerEnd === -1) {
      throw malformed("a part has no end of its header");
    }
    const start = headerEnd + 2 * CRLF.length;
    const end = body.indexOf(delimiter, start);
    if (end === -1) {
      throw malformed("it ends before its last boundary");
    }
    parts.push({ ...readDisposition(body.toString("utf8", headerStart, headerEnd)), start, end });
    at = end + delimiter.length;
  }
}

/** The body with another text as the value of one of its parts; all other bytes stay as they are. */
export function replaceValue(body: Buffer, part: MultipartPart, text: string): Buffer {
  return Buffer.concat([body.subarray(0, part.start), Buffer.from(text), body.subarray(part.end)]);
}

/** Returns the only field of a name, undefined when there is none. Throws CodecError for two of them, and for a file. */
export function fieldOf(parts: readonly MultipartPart[], name: string): MultipartPart | undefined {
  const [found, another] = parts.filter((part) => part.name === name);
  if (another !== undefined) {
    throw new CodecError(`the body has two parts ${name}`, { code: "duplicate_parameter", param: name });
  }
  if (found?.filename !== undefined) {
    throw new CodecError(`Invalid type for '${name}': expected a text, but got a file instead.`, {
      code: "invalid_type",
      param: name,
    });
  }
  return found;
}

const PARAMETER = /\s*;\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s;"]+)/y;

/** The parameters behind a header's first word. Undefined when there is anything else behind it, or one comes twice. */
function readParameters(header: string, from: number): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>();
  let at = from;
  for (;;) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(header);
    if (match?.[1] === undefined || match[2] === undefined) {
      return /^\s*;?\s*$/.test(header.slice(at)) ? found : undefined;
    }
    const name = match[1].toLowerCase();
    if (found.has(name)) {
      return undefined;
    }
    const value = match[2];
    found.set(name, value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1") : value);
    at = PARAMETER.lastIndex;
  }
}

function readBoundary(contentType: string): string {
  const type = /^multipart\/form-data(?=\s*;)/i.exec(contentType);
  const boundary = type === null ? undefined : readParameters(contentType, type[0].length)?.get("boundary");
  if (boundary === undefined || boundary.length > LONGEST_BOUNDARY || !/^[ -~]*[!-~]$/.test(boundary)) {
    throw malformed("its content type has no valid boundary");
  }
  return boundary;
}

function afterPreamble(body: Buffer, delimiter: Buffer): number {
  const found = body.indexOf(delimiter);
  if (found === -1) {
    throw malformed("its boundary is nowhere in it");
  }
  return found + delimiter.length;
}

/** White space may follow a boundary on its line; anything else makes it another text that only begins like one. */
function skipPadding(body: Buffer, from: number): number {
  let at = from;
  while (body[at] === 0x20 || body[at] === 0x09) {
    at += 1;
  }
  if (body[at] !== 0x0d || body[at + 1] !== 0x0a) {
    throw malformed("a boundary is followed by something else on its line");
  }
  return at + CRLF.length;
}

function readDisposition(header: string): Pick<MultipartPart, "name" | "filename"> {
  const lines = header.split(CRLF);
  const own = lines.filter((line) => /^content-disposition\s*:/i.test(line));
  const [line] = own;
  const encoding = lines.find((other) => /^content-transfer-encoding\s*:/i.test(other));
  const type = line === undefined ? null : /^content-disposition: *form-data(?=\s*;)/i.exec(line);
  const parameters = line === undefined || type === null ? undefined : readParameters(line, type[0].length);
  const name = parameters?.get("name");
  if (name === undefined || own.length !== 1 || parameters?.has("name*") === true) {
    throw malformed("a part has no name that can be read");
  }
  // Lines that go on, bare line ends and encodings are read by some parsers and not by others.
  if (lines.some((other) => /^[ \t]|[\r\n\0]/.test(other))) {
    throw malformed("the header of a part has a line that goes on");
  }
  if (encoding !== undefined && !/:\s*(?:binary|7bit|8bit)\s*$/i.test(encoding)) {
    throw malformed("a part has an encoding of its own");
  }
  return { name, filename: parameters?.get("filename") ?? parameters?.get("filename*") };
}

function malformed(problem: string): CodecError {
  return new CodecError(`We could not parse the multipart body of your request: ${problem}.`, {
    code: "invalid_multipart",
  });
}
