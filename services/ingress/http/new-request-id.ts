import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";

const idBytes = 16;
/** Random bytes are asked for in bulk: asking costs more than the bytes do. */
const pool = Buffer.alloc(idBytes * 256);
let at = pool.length;

/** A new request id: `req_` and 128 random bits in hexadecimal. */
export function newRequestId(): string {
  if (at === pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  at += idBytes;
  return `req_${pool.toString("hex", at - idBytes, at)}`;
}
