import type { Buffer } from "node:buffer";

const asciiBytes = 24;
/** The engine keeps arrays of this size in its own heap. */
const heldBytes = 64;

/** Reads protobuf's wire format. Every method throws RangeError when the bytes end too early. */
export class WireReader {
  readonly bytes: Buffer;
  /** Where the next thing begins. */
  at = 0;
  /** How deep the message lies that is being read. */
  depth = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** A number of 32 bits; bits above them are dropped. */
  varint32(): number {
    const first = this.bytes[this.at];
    if (first !== undefined && first < 0x80) {
      this.at += 1;
      return first;
    }
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) {
        value |= (byte & 0x7f) << shift;
      }
      if (byte < 0x80) {
        return value >>> 0;
      }
    }
    throw new RangeError("a number is too long");
  }

  bool(): boolean {
    const first = this.bytes[this.at];
    if (first !== undefined && first < 0x80) {
      this.at += 1;
      return first !== 0;
    }
    return this.uint64() !== 0n;
  }

  /** A number of 64 bits with a sign. */
  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  /** A number of 64 bits without a sign. */
  uint64(): bigint {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        return BigInt(low);
      }
    }
    // 28 bits of it are in low; seven more bytes at the most are in what a number holds exactly, three in high.
    let middle = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      middle |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        return middle < 0x200_0000 ? BigInt(middle * 0x1000_0000 + low) : (BigInt(middle) << 28n) | BigInt(low);
      }
    }
    const ninth = this.#byte();
    const tenth = ninth < 0x80 ? 0 : this.#byte();
    if (tenth > 0x7f) {
      throw new RangeError("a number is too long");
    }
    const high = BigInt((ninth & 0x7f) | ((tenth & 0x7f) << 7));
    return BigInt.asUintN(64, (high << 56n) | (BigInt(middle) << 28n) | BigInt(low));
  }

  float(): number {
    this.at += 4;
    return this.bytes.readFloatLE(this.at - 4);
  }

  double(): number {
    this.at += 8;
    return this.bytes.readDoubleLE(this.at - 8);
  }

  /** The end of something whose length comes next. */
  end(): number {
    const length = this.varint32();
    const end = this.at + length;
    if (end > this.bytes.length) {
      throw new RangeError("a field is cut");
    }
    return end;
  }

  /**
   * Bytes: a view of what is read, unless they are few. Digests and the like are kept for long, and a copy of them costs
   * less than a view.
   */
  view(): Uint8Array {
    const end = this.end();
    const from = this.at;
    this.at = end;
    const view = this.bytes.subarray(from, end);
    return end - from <= heldBytes ? new Uint8Array(view) : view;
  }

  string(): string {
    const end = this.end();
    const from = this.at;
    this.at = end;
    if (end - from <= asciiBytes) {
      let text = "";
      for (let index = from; index < end; index += 1) {
        const byte = this.bytes[index] ?? 0xff;
        if (byte > 0x7f) {
          return this.bytes.toString("utf8", from, end);
        }
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return this.bytes.toString("utf8", from, end);
  }

  /** Passes over a field and gives its bytes. */
  skip(wireType: number): Uint8Array {
    const from = this.at;
    switch (wireType) {
      case 0:
        while (this.#byte() > 0x7f) {
          // The last byte of a number says that it is the last.
        }
        break;
      case 1:
        this.at += 8;
        break;
      case 2:
        this.at = this.end();
        break;
      case 5:
        this.at += 4;
        break;
      default:
        throw new RangeError(`wire type ${wireType} is not used`);
    }
    if (this.at > this.bytes.length) {
      throw new RangeError("a field is cut");
    }
    return this.bytes.subarray(from, this.at);
  }

  #byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) {
      throw new RangeError("a number is cut");
    }
    this.at += 1;
    return byte;
  }
}
