import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { RequestCosts } from "./admit.ts";

/** Adds up what the attempts of a request came to. */
export class CostTally {
  #costNanosUsd = 0n;
  #tokens = 0n;
  readonly #providerCosts: Record<string, bigint> = {};

  /** Adds an attempt: what it cost, and its tokens where they are known. */
  add(provider: string, costNanosUsd: bigint, usage: Usage | undefined): void {
    this.#costNanosUsd += costNanosUsd;
    this.#providerCosts[provider] = (this.#providerCosts[provider] ?? 0n) + costNanosUsd;
    if (usage !== undefined) {
      this.#tokens += usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.outputTokens;
    }
  }

  get total(): RequestCosts {
    return {
      costNanosUsd: this.#costNanosUsd,
      providerCostsNanosUsd: this.#providerCosts,
      tokens: this.#tokens,
    };
  }
}
