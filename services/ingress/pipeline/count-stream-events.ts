import { Buffer } from "node:buffer";

const lineFeed = 0x0a;

/** How many events end in these bytes of a stream. */
export function countStreamEvents(body: Uint8Array): number {
  const bytes = body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let count = 0;
  for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, at + 1)) {
    if (bytes[at + 1] === lineFeed) {
      count += 1;
      at += 1;
    }
  }
  return count;
}
