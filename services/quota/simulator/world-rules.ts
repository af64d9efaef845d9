import type { LimitRule } from "../limits/limit-rule.ts";
import type { Random } from "./random.ts";

/** The budgets of teams, organisations and providers; `limit` makes an amount of at most about so many nano-dollars. */
export function createRules(random: Random, limit: (most: number) => bigint): readonly LimitRule[] {
  return [
    budget("team1", { kind: "team", value: "t1" }, limit(3_000), "lifetime"),
    budget("team2", { kind: "team", value: "t2" }, limit(1_500), "lifetime"),
    budget("all", { kind: "organization", value: undefined }, limit(2_000), random.chance(0.5) ? "minute" : "hour"),
    budget("providers", { kind: "provider", value: undefined }, limit(3_000), "lifetime"),
  ];
}

function budget(
  id: string,
  scope: { readonly kind: "team" | "organization" | "provider"; readonly value: string | undefined },
  nanosUsd: bigint,
  window: "lifetime" | "minute" | "hour",
): LimitRule {
  return { id, scope: { ...scope, tag: "" }, metric: { kind: "budget", nanosUsd, window, zone: "UTC" }, warnAt: [] };
}
