import { Buffer } from "node:buffer";

/** Up to here what was written is lent: the buffer is used again for the next message. */
export const lentBytes: number = 64 * 1024;

const asciiBytes = 48;

/**
 * Writes protobuf's wire format from the end to the beginning: a message is written before its length and its tag, so
 * that nothing has to be moved or measured first. What is called first stands last.
 */
export class BackwardWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(lentBytes);
  #at = lentBytes;

  /** How much was written since `begin`. */
  get length(): number {
    return this.#buffer.length - this.#at;
  }

  /** Begins a message. */
  begin(): void {
    if (this.#buffer.length > lentBytes) {
      this.#buffer = Buffer.allocUnsafeSlow(lentBytes);
    }
    this.#at = this.#buffer.length;
  }

  /** What was written. Above `lentBytes` it is the caller's own; else it is good until the next `begin`. */
  finish(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  /** A number of 32 bits without a sign: a tag, a length, an uint32. */
  varint32(value: number): void {
    if (value < 0x80) {
      this.#reserve(1);
      this.#buffer[--this.#at] = value;
      return;
    }
    const size = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    this.#reserve(size);
    this.#at -= size;
    let at = this.#at;
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[at] = rest;
  }

  /** A number of 32 bits with a sign; negative ones take ten bytes. */
  int32(value: number): void {
    if (value >= 0) {
      this.varint32(value);
    } else {
      this.varint64(BigInt(value));
    }
  }

  /** A number of 64 bits, with a sign or without. */
  varint64(value: bigint): void {
    if (value >= 0n && value <= 0xffff_ffffn) {
      this.varint32(Number(value));
      return;
    }
    let low = Number(BigInt.asUintN(32, value));
    let high = Number(BigInt.asUintN(32, value >> 32n));
    // Seven bits a byte, ten bytes at the most.
    this.#reserve(10);
    let size = 1;
    const bytes = scratch;
    while (high > 0 || low > 0x7f) {
      bytes[size - 1] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
      size += 1;
    }
    bytes[size - 1] = low;
    this.#at -= size;
    for (let index = 0; index < size; index += 1) {
      this.#buffer[this.#at + index] = bytes[index] ?? 0;
    }
  }

  bool(value: boolean): void {
    this.#reserve(1);
    this.#buffer[--this.#at] = value ? 1 : 0;
  }

  float(value: number): void {
    this.#reserve(4);
    this.#at -= 4;
    this.#buffer.writeFloatLE(value, this.#at);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at -= 8;
    this.#buffer.writeDoubleLE(value, this.#at);
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#at -= value.length;
    this.#buffer.set(value, this.#at);
  }

  /** Bytes and their length. */
  bytes(value: Uint8Array): void {
    this.raw(value);
    this.varint32(value.length);
  }

  /** Text as UTF-8, and its length. */
  string(value: string): void {
    const { length } = value;
    if (length <= asciiBytes) {
      // Shorter than what a call into the engine costs; ids and names are nearly always ASCII.
      this.#reserve(length);
      const from = this.#at - length;
      let index = 0;
      for (; index < length; index += 1) {
        const code = value.charCodeAt(index);
        if (code > 0x7f) {
          break;
        }
        this.#buffer[from + index] = code;
      }
      if (index === length) {
        this.#at = from;
        this.varint32(length);
        return;
      }
    }
    const size = Buffer.byteLength(value, "utf8");
    this.#reserve(size);
    this.#at -= size;
    this.#buffer.write(value, this.#at, size, "utf8");
    this.varint32(size);
  }

  #reserve(size: number): void {
    if (this.#at >= size) {
      return;
    }
    const written = this.length;
    const needed = written + size;
    const buffer = Buffer.allocUnsafeSlow(needed + Math.max(lentBytes, needed >>> 2));
    this.#buffer.copy(buffer, buffer.length - written, this.#at);
    this.#at = buffer.length - written;
    this.#buffer = buffer;
  }
}

const scratch = new Uint8Array(10);
