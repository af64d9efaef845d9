import { CodecError } from "../codec.ts";

/** The most bytes that one line may have; a longer one fails with the code `frame_too_large`. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const LINE_FEED = 0x0a;
const NOTHING = Buffer.alloc(0);

/** Cuts a stream at the ends of its lines, however the bytes are cut. Holds the state of one stream. */
export interface LineCutter {
  /** Takes the next bytes and returns all lines that are now whole, with their line feeds. */
  push(bytes: Uint8Array): Buffer;
  /** Returns the bytes of the line that has no line feed yet, and forgets them. */
  takeRest(): Buffer;
  /** How many bytes are held back. */
  readonly pendingBytes: number;
}

/** Creates a cutter for one stream. */
export function createLineCutter(): LineCutter {
  // Pieces are joined once, when their line ends: joining at each push would copy a long line again and again.
  let pieces: Buffer[] = [];
  let pendingBytes = 0;

  function hold(piece: Buffer): void {
    if (piece.length > 0) {
      pieces.push(piece);
      pendingBytes += piece.length;
    }
    if (pendingBytes > MAX_LINE_BYTES) {
      throw new CodecError(`a line of the stream is longer than ${MAX_LINE_BYTES} bytes`, { code: "frame_too_large" });
    }
  }

  function takeRest(): Buffer {
    const rest = Buffer.concat(pieces, pendingBytes);
    pieces = [];
    pendingBytes = 0;
    return rest;
  }

  return {
    push(bytes) {
      const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const border = chunk.lastIndexOf(LINE_FEED) + 1;
      if (border === 0) {
        hold(chunk);
        return NOTHING;
      }
      const head = chunk.subarray(0, border);
      const whole = pendingBytes === 0 ? head : Buffer.concat([takeRest(), head]);
      hold(chunk.subarray(border));
      return whole;
    },
    takeRest,
    get pendingBytes() {
      return pendingBytes;
    },
  };
}

/** The texts of whole lines, without blank ones. */
export function splitLines(lines: Buffer): readonly string[] {
  return lines
    .toString("utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
}
