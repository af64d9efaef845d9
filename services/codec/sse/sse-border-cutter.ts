import { CodecError } from "../codec.ts";

/** The most bytes that one event may have; a larger one fails with the code `frame_too_large`. */
export const MAX_SSE_EVENT_BYTES = 16 * 1024 * 1024;

/** Cuts a stream of server-sent events where events end, and keeps the rest. Holds the state of one stream. */
export interface SseBorderCutter {
  /**
   * Takes the next bytes and returns all events that are now whole, as one slice, each ending in a blank line. Without
   * a rest from before, the slice is a view of `bytes` and nothing is copied. Empty when no event ended. Throws
   * CodecError (`frame_too_large`) when the rest grows past the cap.
   */
  push(bytes: Uint8Array): Buffer;
  /** Returns the bytes of the event that is not whole yet, and forgets them. */
  takeRest(): Buffer;
  /** Returns the bytes of the event that is not whole yet, and keeps them. Copies them: meant for small rests. */
  peekRest(): Buffer;
  /** How many bytes are held back. */
  readonly pendingBytes: number;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NOTHING = Buffer.alloc(0);

/** Creates a cutter for one stream. `maxEventBytes` bounds what it holds back. */
export function createSseBorderCutter(maxEventBytes: number = MAX_SSE_EVENT_BYTES): SseBorderCutter {
  // Pieces are joined once, when their event ends: joining at each push would copy a large event again and again.
  let pieces: Buffer[] = [];
  let pendingBytes = 0;
  // The last two bytes seen. A stream begins as if after a line end, so that blank lines at its start are borders too.
  let previous = LINE_FEED;
  let beforePrevious = LINE_FEED;

  /** Where the last blank line in `chunk` ends, exclusive; 0 when none does. */
  function findLastBorder(chunk: Buffer): number {
    for (let end = chunk.length - 1; end >= 0; end--) {
      const byte = chunk[end];
      if (byte !== LINE_FEED && byte !== CARRIAGE_RETURN) {
        continue;
      }
      const one = end >= 1 ? chunk[end - 1] : previous;
      if (one === LINE_FEED || (one === CARRIAGE_RETURN && byte === CARRIAGE_RETURN)) {
        return end + 1;
      }
      if (one === CARRIAGE_RETURN) {
        const two = end >= 2 ? chunk[end - 2] : end === 1 ? previous : beforePrevious;
        if (two === LINE_FEED || two === CARRIAGE_RETURN) {
          return end + 1;
        }
      }
    }
    return 0;
  }

  function hold(piece: Buffer): void {
    if (piece.length === 0) {
      return;
    }
    pendingBytes += piece.length;
    if (pendingBytes > maxEventBytes) {
      pieces = [];
      throw new CodecError(`an event of the stream is larger than ${maxEventBytes} bytes`, { code: "frame_too_large" });
    }
    pieces.push(piece);
  }

  function takeRest(): Buffer {
    const rest = pieces.length === 1 ? (pieces[0] ?? NOTHING) : Buffer.concat(pieces, pendingBytes);
    pieces = [];
    pendingBytes = 0;
    return rest;
  }

  return {
    push(bytes) {
      if (bytes.length === 0) {
        return NOTHING;
      }
      const chunk = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const border = findLastBorder(chunk);
      beforePrevious = chunk.length >= 2 ? (chunk[chunk.length - 2] ?? 0) : previous;
      previous = chunk[chunk.length - 1] ?? 0;
      if (border === 0) {
        hold(chunk);
        return NOTHING;
      }
      let whole = border === chunk.length ? chunk : chunk.subarray(0, border);
      if (pendingBytes > 0) {
        pieces.push(whole);
        pendingBytes += whole.length;
        whole = takeRest();
      }
      if (border < chunk.length) {
        hold(chunk.subarray(border));
      }
      return whole;
    },
    takeRest,
    peekRest: () => Buffer.concat(pieces, pendingBytes),
    get pendingBytes() {
      return pendingBytes;
    },
  };
}
