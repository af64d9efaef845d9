import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** Usage that the gateway counted because no provider's report of it arrived. */
export function estimateUsage(inputBytes: number, outputTokens: number): Usage {
  return {
    $typeName: "penstock.type.v1.Usage",
    // Four bytes a token is what English text comes to; the flag says that it is a guess.
    uncachedInputTokens: BigInt(Math.ceil(inputBytes / 4)),
    cacheReadTokens: 0n,
    cacheWriteTokens: 0n,
    cacheWrite1hTokens: 0n,
    audioInputTokens: 0n,
    audioOutputTokens: 0n,
    outputTokens: BigInt(outputTokens),
    reasoningTokens: 0n,
    estimated: true,
  };
}
