const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const COLON = 0x3a;
const FIELD = Buffer.from("data");

/** A line of data in a stream of server-sent events. */
export interface DataLine {
  /** What follows `data:`. */
  readonly json: string;
  /** Where the line ends in the bytes searched, exclusive. */
  readonly end: number;
}

/**
 * Finds the next line of data that contains `marker`, from `from` on; undefined when there is none. The bytes must end
 * where a line does. Only for providers that write each event's data in one line.
 */
export function nextDataLine(bytes: Buffer, marker: Buffer, from: number): DataLine | undefined {
  let at = bytes.indexOf(marker, from);
  while (at !== -1) {
    let start = at;
    while (start > from && !isLineEnd(bytes[start - 1])) {
      start -= 1;
    }
    let end = at + marker.length;
    while (end < bytes.length && !isLineEnd(bytes[end])) {
      end += 1;
    }
    // The text of a prompt can stand in another field's line, such as a comment.
    if (bytes[start + FIELD.length] === COLON && FIELD.equals(bytes.subarray(start, start + FIELD.length))) {
      return { json: bytes.toString("utf8", start + FIELD.length + 1, end), end };
    }
    at = bytes.indexOf(marker, end);
  }
  return undefined;
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === LINE_FEED || byte === CARRIAGE_RETURN;
}
