import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** Far more tokens than any model reads or writes for one request; their price and their sums are far from 2^63. */
const mostTokens = 1_000_000_000n;

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
