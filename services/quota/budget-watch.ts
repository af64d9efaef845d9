import { createHash } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AlertEvent, AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { formatDollars } from "#kit/money/format-dollars.ts";
import type { Account } from "./budget-account.ts";
import { nameOfCounter } from "./limits/counters.ts";

/** What the watch works with. */
export interface BudgetWatchDeps {
  /** Makes alerts durable; what was raised before is not raised again. Rejects when it cannot. */
  readonly raise: (alerts: AlertEvent[]) => Promise<unknown>;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Sees to it that somebody hears when a budget passes one of its thresholds. */
export interface BudgetWatch {
  /** Takes note of how much of a budget is spent. */
  note(account: Account, spentNanosUsd: bigint): void;
  /** Raises what was noted. Rejects when that fails; then it is raised the next time. */
  flush(): Promise<void>;
}

const maxWaiting = 1_000;
const batchSize = 100;
const longestKey = 400;

/**
 * Makes a watch: one alert for each threshold of each window, however many processes see it pass, since an alert is
 * named after both. When the service of alerts is away for long, the newest alerts are kept and older ones given up.
 */
export function createBudgetWatch(deps: BudgetWatchDeps): BudgetWatch {
  const waiting = new Map<string, AlertEvent>();
  return {
    note(account, spentNanosUsd) {
      const { warning, limitNanosUsd } = account;
      if (warning === undefined || limitNanosUsd === undefined) {
        return;
      }
      const limit = limitNanosUsd + account.extraNanosUsd;
      for (const percent of warning.percents) {
        const isPassed = limit > 0n && spentNanosUsd * 100n >= limit * BigInt(percent);
        if (isPassed && percent > account.warnedPercent) {
          account.warnedPercent = percent;
          const alert = describe(account, warning, percent, { spent: spentNanosUsd, limit }, deps.wallClock());
          waiting.set(alert.dedupeKey, alert);
          const oldest = waiting.size > maxWaiting ? waiting.keys().next().value : undefined;
          if (oldest !== undefined) {
            waiting.delete(oldest);
          }
        }
      }
    },
    async flush() {
      const batch = [...waiting.values()].slice(0, batchSize);
      if (batch.length > 0) {
        await deps.raise(batch);
        for (const { dedupeKey } of batch) {
          waiting.delete(dedupeKey);
        }
      }
    },
  };
}

function describe(
  { budgetId }: Account,
  { label, window, organizationId }: NonNullable<Account["warning"]>,
  percent: number,
  amounts: { readonly spent: bigint; readonly limit: bigint },
  nowMs: number,
): AlertEvent {
  const name = `${window === "lifetime" ? "" : `${window}'s `}budget of the ${nameOfCounter(label)}`;
  const scopeId = label.tag === "" ? label.value : `${label.tag}=${label.value}`;
  return {
    $typeName: "penstock.accounting.v1.AlertEvent",
    dedupeKey: `budget ${percent}% ${budgetId.length > longestKey ? hashOf(budgetId) : budgetId}`,
    kind: "budget_threshold",
    severity: percent >= 100 ? AlertSeverity.CRITICAL : AlertSeverity.WARNING,
    title: `The ${name} is spent to ${percent}%`,
    text: `${formatDollars(amounts.spent)} of ${formatDollars(amounts.limit)} are spent.`,
    labels: {
      limit_id: label.limitId,
      scope: label.scope,
      scope_id: scopeId,
      window,
      percent: String(percent),
      ...(organizationId === "" ? {} : { organization_id: organizationId }),
      ...(label.scope === "team" ? { team_id: label.value } : {}),
      ...(label.scope === "key" ? { key_id: label.value } : {}),
    },
    time: timestampFromMs(nowMs),
  };
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
