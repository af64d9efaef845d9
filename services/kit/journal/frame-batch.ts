import { frameHeaderBytes, maxPayloadBytes, writeFrameHeader } from "./frame.ts";

const initialBytes = 64 * 1024;

/** The frames of one turn of the event loop, in one buffer that is used again for the next turn. */
export class FrameBatch {
  #buffer = Buffer.allocUnsafe(initialBytes);
  #length = 0;

  /** Bytes of the frames in it. */
  get length(): number {
    return this.#length;
  }

  /** The frames, until the next change. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Puts a payload behind the last frame and returns its size in bytes. It is not part of the batch until `commit`. */
  stage(payload: string | Uint8Array): number {
    // A UTF-16 unit is at most three bytes of UTF-8.
    const bound = typeof payload === "string" ? payload.length * 3 : payload.length;
    if (bound > 3 * maxPayloadBytes) {
      return bound;
    }
    const start = this.#length + frameHeaderBytes;
    if (start + bound > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(start + bound, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    if (typeof payload === "string") {
      return this.#buffer.write(payload, start, "utf8");
    }
    this.#buffer.set(payload, start);
    return payload.length;
  }

  /** Makes a frame of the payload just staged, and returns where it is. */
  commit(record: { readonly kind: number; readonly sequence: number; readonly payloadBytes: number }): {
    readonly offset: number;
    readonly bytes: number;
  } {
    const offset = this.#length;
    const bytes = writeFrameHeader(this.#buffer, offset, record);
    this.#length += bytes;
    return { offset, bytes };
  }

  /** Forgets all frames. */
  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > 16 * initialBytes) {
      this.#buffer = Buffer.allocUnsafe(initialBytes);
    }
  }
}
