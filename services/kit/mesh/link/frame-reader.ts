import { Buffer } from "node:buffer";
import { LinkProtocolError } from "./link-protocol.ts";

/** Takes one frame. `content` is a view of what was read. */
export type OnFrame = (callId: number, kind: number, content: Buffer) => void;

const framesTag = 0x0a;
const callIdTag = 0x08;
const nothing = Buffer.alloc(0);

/** Reads the frames of serialized LinkRequests and LinkResponses. By hand, since a general decoder makes three objects a frame. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  #bytes: Buffer = nothing;
  #at = 0;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  /** Reads the message that lies from `from` to `to`. Throws LinkProtocolError for what is none. */
  read(bytes: Buffer, from: number, to: number): void {
    this.#bytes = bytes;
    this.#at = from;
    while (this.#at < to) {
      const tag = this.#varint(to);
      if (tag === framesTag) {
        this.#readFrame(this.#end(to));
      } else {
        this.#skip(tag & 7, to);
      }
    }
    this.#bytes = nothing;
  }

  #readFrame(to: number): void {
    let callId = 0;
    let kind = 0;
    let contentFrom = 0;
    let contentTo = 0;
    while (this.#at < to) {
      const tag = this.#varint(to);
      if (tag === callIdTag) {
        callId = this.#varint(to);
      } else if ((tag & 7) === 2) {
        contentTo = this.#end(to);
        contentFrom = this.#at;
        kind = tag >>> 3;
        this.#at = contentTo;
      } else {
        this.#skip(tag & 7, to);
      }
    }
    if (kind !== 0) {
      this.#onFrame(callId, kind, this.#bytes.subarray(contentFrom, contentTo));
    }
  }

  /** Reads a length and gives the end of what follows, which has to lie within `to`. */
  #end(to: number): number {
    const length = this.#varint(to);
    return this.#within(this.#at + length, to);
  }

  /** Fields are added over time: what is not known is passed over. */
  #skip(wireType: number, to: number): void {
    switch (wireType) {
      case 0:
        this.#varint(to);
        return;
      case 1:
        this.#at = this.#within(this.#at + 8, to);
        return;
      case 2:
        this.#at = this.#end(to);
        return;
      case 5:
        this.#at = this.#within(this.#at + 4, to);
        return;
      default:
        throw new LinkProtocolError(`wire type ${wireType} is not used`);
    }
  }

  #within(end: number, to: number): number {
    if (end > to) {
      throw new LinkProtocolError("a field is longer than what it is in");
    }
    return end;
  }

  /** A number of 32 bits; bits above them are dropped, as protobuf has it. */
  #varint(to: number): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#at < to ? this.#bytes[this.#at] : undefined;
      if (byte === undefined) {
        throw new LinkProtocolError("a number is cut");
      }
      this.#at += 1;
      if (shift < 32) {
        value |= (byte & 0x7f) << shift;
      }
      if (byte < 0x80) {
        return value >>> 0;
      }
    }
    throw new LinkProtocolError("a number is too long");
  }
}
