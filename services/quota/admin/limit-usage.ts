import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { LimitUsage } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { limitBudgetId } from "../limits/limit-book.ts";
import { type BudgetPeriod, periodAt } from "../limits/budget-period.ts";
import type { LimitMetric, LimitRule } from "../limits/limit-rule.ts";
import type { Quota } from "../quota.ts";
import type { AdminStore, BudgetUsage } from "../store/admin-store.ts";

/** Which values to tell about: one, or those after one. */
export interface UsagePage {
  /** Undefined for all. */
  readonly value: string | undefined;
  readonly afterValue: string;
  readonly limit: number;
}

/** What usage is read from. */
export interface LimitUsageDeps {
  readonly admin: AdminStore;
  readonly quota: Quota;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Milliseconds of the quota's clock. */
  readonly now: () => number;
}

type BudgetMetric = LimitMetric & { readonly kind: "budget" };

/** How much of a limit is used, by value. A value that is asked for and was never used is there, with nothing used. */
export async function readLimitUsage(deps: LimitUsageDeps, rule: LimitRule, page: UsagePage): Promise<LimitUsage[]> {
  return rule.metric.kind === "budget" ? budgetUsage(deps, rule, rule.metric, page) : countUsage(deps, rule, page);
}

async function budgetUsage(
  { admin, quota, wallClock }: LimitUsageDeps,
  rule: LimitRule,
  metric: BudgetMetric,
  page: UsagePage,
): Promise<LimitUsage[]> {
  const period = periodAt(metric.window, metric.zone, wallClock());
  // What this process holds in memory is told to the store first, so that its answer is what is spent now.
  await quota.tick();
  const found = await admin.readBudgetUsage({
    ...idParts(rule.id, period),
    ...page,
  });
  const usages =
    found.length === 0 && page.value !== undefined
      ? [{ value: page.value, spentNanosUsd: 0n, heldNanosUsd: 0n, extraNanosUsd: 0n }]
      : found;
  return usages.map((usage) => mapBudget(rule, metric, period, usage));
}

/** What stands before and after the value in the ids of the budgets of a limit in one window. */
function idParts(limitId: string, period: BudgetPeriod): { readonly prefix: string; readonly suffix: string } {
  const marker = "\0";
  const [prefix = "", suffix = ""] = limitBudgetId(limitId, marker, period).split(marker);
  return { prefix, suffix };
}

function mapBudget(rule: LimitRule, metric: BudgetMetric, period: BudgetPeriod, usage: BudgetUsage): LimitUsage {
  const limit = metric.nanosUsd + usage.extraNanosUsd;
  const left = limit - usage.spentNanosUsd - usage.heldNanosUsd;
  return {
    $typeName: "penstock.admin.v1.LimitUsage",
    limitId: rule.id,
    value: usage.value,
    limit,
    used: usage.spentNanosUsd,
    held: usage.heldNanosUsd,
    available: left > 0n ? left : 0n,
    topUps: usage.extraNanosUsd,
    ...(Number.isFinite(period.endMs) ? { resetTime: timestampFromMs(period.endMs) } : {}),
  };
}

/** Rates and slots are counted by each process for itself. */
function countUsage({ quota, now, wallClock }: LimitUsageDeps, rule: LimitRule, page: UsagePage): LimitUsage[] {
  const nowMs = now();
  const counted =
    rule.metric.kind === "concurrency"
      ? quota.reservations.runningOf(rule.id).map(({ value, running }) => ({ value, used: running, resetMs: 0 }))
      : quota.book
          .ratesOf(rule.id)
          .map(({ value, window }) => ({ value, used: window.used(nowMs), resetMs: window.resetDelayMs(nowMs) }));
  const wanted = counted
    .filter(({ value }) => (page.value === undefined ? value > page.afterValue : value === page.value))
    .toSorted((a, b) => (a.value < b.value ? -1 : 1))
    .slice(0, page.limit);
  if (wanted.length === 0 && page.value !== undefined) {
    wanted.push({ value: page.value, used: 0, resetMs: 0 });
  }
  const limit = quota.book.shareOf(rule);
  return wanted.map(({ value, used, resetMs }) => ({
    $typeName: "penstock.admin.v1.LimitUsage",
    limitId: rule.id,
    value,
    limit: BigInt(limit),
    used: BigInt(used),
    held: 0n,
    available: BigInt(Math.max(0, limit - used)),
    topUps: 0n,
    ...(resetMs > 0 ? { resetTime: timestampFromMs(Math.ceil(wallClock() + resetMs)) } : {}),
  }));
}
