import { Buffer, isUtf8 } from "node:buffer";

/** The same bytes when they are UTF-8, which costs next to nothing to see; else with U+FFFD for what is not. */
export function wellFormedUtf8(bytes: Uint8Array): Uint8Array {
  return isUtf8(bytes)
    ? bytes
    : Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
}
