import { Buffer } from "node:buffer";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** How many events end in these bytes of a stream. */
export function countStreamEvents(body: Uint8Array): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let count = 0;
  for (let at = bytes.indexOf("\n\n"); at !== -1; at = bytes.indexOf("\n\n", at + 2)) {
    count += 1;
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
