import { crc32 } from "node:zlib";

// magic u32 | crc32 u32 | payload length u32 | sequence u64 | kind u8 | payload. The checksum covers all after itself.
/** Bytes of a frame before its payload. */
export const frameHeaderBytes = 21;

/** The largest payload of one record, in bytes: what the bus accepts in one message. */
export const maxPayloadBytes = 1024 * 1024;

// 0xf5 never occurs in UTF-8, so no text that a caller chose can look like the start of a frame.
const magic = Buffer.from([0xf5, 0x50, 0x4a, 0x31]);

/** Completes a frame whose payload is already in place, and returns its size in bytes. */
export function writeFrameHeader(
  buffer: Buffer,
  offset: number,
  record: { readonly kind: number; readonly sequence: number; readonly payloadBytes: number },
): number {
  const end = offset + frameHeaderBytes + record.payloadBytes;
  buffer.set(magic, offset);
  buffer.writeUInt32LE(record.payloadBytes, offset + 8);
  // Two halves, since a bigint would be an allocation on the path of each request.
  buffer.writeUInt32LE(record.sequence % 0x1_0000_0000, offset + 12);
  buffer.writeUInt32LE(Math.floor(record.sequence / 0x1_0000_0000), offset + 16);
  buffer[offset + 20] = record.kind;
  buffer.writeUInt32LE(crc32(buffer.subarray(offset + 8, end)), offset + 4);
  return end - offset;
}

/** A whole frame found in a segment. */
export interface FoundFrame {
  readonly kind: number;
  readonly sequence: number;
  /** Where the frame begins. */
  readonly offset: number;
  /** The size of the whole frame. */
  readonly bytes: number;
  /** A copy of the payload. */
  readonly payload: Buffer;
}

/** What a segment holds. */
export interface ScannedSegment {
  readonly frames: readonly FoundFrame[];
  /** How many stretches of bytes were not frames: flipped bits, or a tail that was cut. */
  readonly damaged: number;
  /** Where the last whole frame ends. */
  readonly end: number;
}

/** Finds the whole frames of a segment. After damage it goes on at the next bytes that are a whole frame. */
export function scanSegment(bytes: Buffer): ScannedSegment {
  const frames: FoundFrame[] = [];
  let damaged = 0;
  let end = 0;
  let offset = 0;
  while (offset < bytes.length) {
    const frame = readFrame(bytes, offset);
    if (frame !== undefined) {
      damaged += offset === end ? 0 : 1;
      frames.push(frame);
      end = offset + frame.bytes;
      offset = end;
    } else {
      const next = bytes.indexOf(magic, offset + 1);
      offset = next === -1 ? bytes.length : next;
    }
  }
  return { frames, damaged: damaged + (end === bytes.length ? 0 : 1), end };
}

function readFrame(bytes: Buffer, offset: number): FoundFrame | undefined {
  if (bytes.length - offset < frameHeaderBytes || bytes.compare(magic, 0, 4, offset, offset + 4) !== 0) {
    return undefined;
  }
  const payloadBytes = bytes.readUInt32LE(offset + 8);
  const start = offset + frameHeaderBytes;
  const end = start + payloadBytes;
  if (end > bytes.length || crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32LE(offset + 4)) {
    return undefined;
  }
  return {
    kind: bytes.readUInt8(offset + 20),
    sequence: bytes.readUInt32LE(offset + 12) + bytes.readUInt32LE(offset + 16) * 0x1_0000_0000,
    offset,
    bytes: end - offset,
    payload: Buffer.from(bytes.subarray(start, end)),
  };
}
