import { Buffer } from "node:buffer";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

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

/** What a request used whose end nobody reports: its input, and a token for each event that was passed on. */
export function usageSeen(bodyBytes: number, streamEvents: number): Usage {
  return {
    $typeName: "penstock.type.v1.Usage",
    uncachedInputTokens: BigInt(Math.ceil(bodyBytes / 4)),
    cacheReadTokens: 0n,
    cacheWriteTokens: 0n,
    cacheWrite1hTokens: 0n,
    audioInputTokens: 0n,
    audioOutputTokens: 0n,
    outputTokens: BigInt(streamEvents),
    reasoningTokens: 0n,
    estimated: true,
  };
}
