import { Buffer } from "node:buffer";

const slabBytes = 64 * 1024;
/** Flags and length. */
const prefixBytes = 5;
/** Tags and lengths around a frame's content: the frame's own tag and length, the call, the content's tag and length. */
const largestFrameHead = 6 + 6 + 6;
const framesTag = 0x0a;
const callIdTag = 0x08;
const lengthDelimited = 2;

/**
 * Writes frames one after another into one envelope of Connect's streaming format, as the bytes of a LinkRequest or a
 * LinkResponse. Written by hand since a general encoder copies each content three times.
 */
export class EnvelopeWriter {
  #slab: Buffer = Buffer.allocUnsafeSlow(slabBytes);
  /** Where the envelope begins. What lies before it was taken, and is still being sent. */
  #start = 0;
  #at = prefixBytes;

  /** The bytes of the frames so far. */
  get pendingBytes(): number {
    return this.#at - this.#start - prefixBytes;
  }

  /** Adds a frame. `content` is copied. */
  add(callId: number, kind: number, content: Uint8Array): void {
    this.#reserve(largestFrameHead + content.length);
    const callBytes = callId === 0 ? 0 : 1 + varintBytes(callId);
    this.#slab[this.#at++] = framesTag;
    this.#varint(callBytes + 1 + varintBytes(content.length) + content.length);
    if (callBytes > 0) {
      this.#slab[this.#at++] = callIdTag;
      this.#varint(callId);
    }
    this.#slab[this.#at++] = (kind << 3) | lengthDelimited;
    this.#varint(content.length);
    this.#slab.set(content, this.#at);
    this.#at += content.length;
  }

  /** The envelope with all frames since the last one. */
  take(): Buffer {
    this.#slab[this.#start] = 0;
    this.#slab.writeUInt32BE(this.pendingBytes, this.#start + 1);
    const envelope = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    this.#reserve(prefixBytes);
    this.#at += prefixBytes;
    return envelope;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#slab.length) {
      return;
    }
    const kept = this.#at - this.#start;
    const slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, (kept + bytes) * 2));
    this.#slab.copy(slab, 0, this.#start, this.#at);
    this.#slab = slab;
    this.#start = 0;
    this.#at = kept;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#slab[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#slab[this.#at++] = rest;
  }
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}
