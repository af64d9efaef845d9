import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** Far more tokens than any model reads or writes for one request; their price and their sums are far from 2^63. */
const mostTokens = 1_000_000_000n;

/** Usage that the gateway counted because the provider reported none. */
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

/** The usage that a provider reported; undefined when it reported none, or what no request can have used. */
export function credibleUsage(usage: Usage | undefined): Usage | undefined {
  return usage === undefined ||
    usage.uncachedInputTokens > mostTokens ||
    usage.cacheReadTokens > mostTokens ||
    usage.cacheWriteTokens > mostTokens ||
    usage.outputTokens > mostTokens
    ? undefined
    : usage;
}
