import { EventStreamCodec } from "@smithy/eventstream-codec";
import { CodecError } from "../codec.ts";

/** The most bytes that one frame may have; a larger one fails with the code `frame_too_large`. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** The lengths, their checksum and the frame's checksum. */
const MIN_FRAME_BYTES = 16;
const LENGTH_BYTES = 4;

/** One frame of `application/vnd.amazon.eventstream`. */
export interface EventFrame {
  /** `event`, or `exception` or `error` for what ends the stream. */
  readonly messageType: string;
  /** The kind of event or exception, such as `contentBlockDelta` or `throttlingException`. */
  readonly eventType: string;
  /** What an error frame says. Empty for all others, whose words are in the payload. */
  readonly errorMessage: string;
  /** JSON text. */
  readonly payload: string;
}

/** Cuts a stream at the borders of frames, however the bytes are cut. Holds the state of one stream. */
export interface FrameCutter {
  /** Takes the next bytes and returns the frames that they complete. Throws CodecError (`frame_too_large`). */
  push(bytes: Uint8Array): Buffer[];
  /** How many bytes belong to a frame that is not whole yet. */
  readonly pendingBytes: number;
}

const marshaller = new EventStreamCodec(
  (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
  (text) => Buffer.from(text, "utf8"),
);

/** Creates a cutter for one stream. */
export function createFrameCutter(): FrameCutter {
  // Pieces are joined once, when their frame is whole: joining at each push would copy a large frame again and again.
  let pieces: Buffer[] = [];
  let pendingBytes = 0;
  let neededBytes = LENGTH_BYTES;

  function joined(): Buffer {
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces, pendingBytes);
  }

  return {
    push(bytes) {
      if (bytes.length > 0) {
        pieces.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
        pendingBytes += bytes.length;
      }
      const frames: Buffer[] = [];
      while (pendingBytes >= neededBytes) {
        const all = joined();
        const length = all.readUInt32BE(0);
        if (length < MIN_FRAME_BYTES || length > MAX_FRAME_BYTES) {
          throw new CodecError(`a frame of the stream has ${length} bytes`, { code: "frame_too_large" });
        }
        const isWhole = all.length >= length;
        if (isWhole) {
          frames.push(all.subarray(0, length));
        }
        const rest = isWhole ? all.subarray(length) : all;
        pieces = rest.length === 0 ? [] : [rest];
        pendingBytes = rest.length;
        neededBytes = isWhole ? LENGTH_BYTES : length;
      }
      return frames;
    },
    get pendingBytes() {
      return pendingBytes;
    },
  };
}

/** Reads one whole frame. Throws CodecError (`invalid_stream`) when one of its checksums is wrong. */
export function readFrame(frame: Buffer): EventFrame {
  let message: ReturnType<EventStreamCodec["decode"]>;
  try {
    message = marshaller.decode(frame);
  } catch (cause) {
    throw new CodecError("a frame of the stream is damaged", { code: "invalid_stream", cause });
  }
  const { headers, body } = message;
  const header = (name: string): string => {
    const value = headers[name]?.value;
    return typeof value === "string" ? value : "";
  };
  return {
    messageType: header(":message-type"),
    eventType: header(":event-type") || header(":exception-type") || header(":error-code"),
    errorMessage: header(":error-message"),
    payload: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"),
  };
}

/** Writes one frame with an event. */
export function writeFrame(eventType: string, payload: string): Uint8Array {
  return marshaller.encode({
    headers: {
      ":event-type": { type: "string", value: eventType },
      ":content-type": { type: "string", value: "application/json" },
      ":message-type": { type: "string", value: "event" },
    },
    body: Buffer.from(payload, "utf8"),
  });
}
