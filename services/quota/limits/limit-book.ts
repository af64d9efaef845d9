import { LRUCache } from "lru-cache";
import type { Account, BudgetRule, BudgetWarning } from "../budget-account.ts";
import { RateWindow } from "../rate-window.ts";
import { type BudgetPeriod, periodAt } from "./budget-period.ts";
import type { BudgetCounter, CounterLabel, RateCounter, RequestLimits, SlotCounter } from "./counters.ts";
import { dependsOnRequest, type LimitFacts, type LimitMetric, type LimitRule, valuesOf } from "./limit-rule.ts";

/** What the book works with. */
export interface LimitBookDeps {
  /** The account of a budget whose limit is a rule's own. */
  readonly account: (budgetId: string, rule: BudgetRule) => Account;
  /** Milliseconds since 1970, for the windows of budgets. */
  readonly wallClock: () => number;
}

/** The part of every rate that this process may admit: those of all processes together make the whole. */
export interface RateShare {
  /** The place of this process, from 0. */
  readonly rank: number;
  /** How many processes there are, at least 1. */
  readonly processes: number;
}

/** A request is held against so many budgets at most; only budgets of providers can come to more. */
export const maxBudgetsOfRequest = 30;
// A counter that nobody used for long is forgotten first. A minute is its whole memory.
const maxRateCounters = 100_000;

/** Finds what limits a request: the rules that apply to it, each with the counter of its value. */
export class LimitBook {
  readonly #deps: LimitBookDeps;
  /** As many as there are keys, teams, organisations and users with a rate. */
  readonly #ratesOfKeys = new Map<string, RateCounter>();
  /** Made when it is first needed: it takes its room at once, and few have such limits. */
  #ratesOfRequests: LRUCache<string, RateCounter> | undefined;
  readonly #periods = new Map<string, BudgetPeriod>();
  #ofKey: readonly LimitRule[] = [];
  #ofRequest: readonly LimitRule[] = [];
  #share: RateShare = { rank: 0, processes: 1 };
  #generation = 0;

  constructor(deps: LimitBookDeps) {
    this.#deps = deps;
  }

  /** Grows whenever what was found before may be wrong. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether requests of one key may differ in what limits them. */
  get dependsOnRequest(): boolean {
    return this.#ofRequest.length > 0;
  }

  /** Whether some of that is a budget. */
  get budgetsDependOnRequest(): boolean {
    return this.#ofRequest.some(({ metric }) => metric.kind === "budget");
  }

  /** All rules, those of keys first. */
  get rules(): readonly LimitRule[] {
    return [...this.#ofKey, ...this.#ofRequest];
  }

  /** Replaces all rules. What was counted under a rule that stays is kept. */
  setRules(rules: readonly LimitRule[]): void {
    this.#ofKey = rules.filter((rule) => !dependsOnRequest(rule.scope.kind));
    this.#ofRequest = rules.filter((rule) => dependsOnRequest(rule.scope.kind));
    this.#periods.clear();
    this.#generation += 1;
  }

  /** Tells which part of the rates is this process'. */
  setShare(share: RateShare): void {
    if (share.rank !== this.#share.rank || share.processes !== this.#share.processes) {
      this.#share = share;
      this.#generation += 1;
    }
  }

  /** What limits all requests of a key in the same way, and until when, in milliseconds since 1970. */
  ofKey(facts: LimitFacts): { readonly limits: RequestLimits; readonly untilMs: number } {
    return this.#collect(this.#ofKey, facts);
  }

  /** What limits a request beside that. */
  ofRequest(facts: LimitFacts): RequestLimits {
    return this.#collect(this.#ofRequest, facts).limits;
  }

  /** The window of a rate that is counted under an id of the caller's, at this process' share of the limit. */
  rate(id: string, unit: RateCounter["unit"], label: CounterLabel, limit: number): RateCounter {
    const counters = dependsOnRequest(label.scope) ? this.#countersOfRequests() : this.#ratesOfKeys;
    let counter = counters.get(id);
    if (counter === undefined) {
      counter = { label, unit, total: limit, window: new RateWindow(0) };
      counters.set(id, counter);
    }
    counter.total = limit;
    counter.window.limit = shareOf(limit, this.#share);
    return counter;
  }

  /** What this process has counted under a rate, by value. */
  ratesOf(limitId: string): readonly { readonly value: string; readonly window: RateWindow }[] {
    const found: { readonly value: string; readonly window: RateWindow }[] = [];
    for (const counters of [this.#ratesOfKeys, this.#ratesOfRequests]) {
      for (const { label, window } of counters?.values() ?? []) {
        if (label.limitId === limitId) {
          found.push({ value: label.value, window });
        }
      }
    }
    return found;
  }

  /** The part of a rate or of concurrency that this process admits. */
  shareOf({ metric }: LimitRule): number {
    return metric.kind === "budget" ? 0 : shareOf(metric.limit, this.#share);
  }

  #countersOfRequests(): LRUCache<string, RateCounter> {
    this.#ratesOfRequests ??= new LRUCache({ max: maxRateCounters });
    return this.#ratesOfRequests;
  }

  #collect(
    rules: readonly LimitRule[],
    facts: LimitFacts,
  ): { readonly limits: RequestLimits; readonly untilMs: number } {
    const budgets: BudgetCounter[] = [];
    const rates: RateCounter[] = [];
    const slots: SlotCounter[] = [];
    let untilMs = Number.POSITIVE_INFINITY;
    for (const { id, scope, metric, warnAt } of rules) {
      for (const value of valuesOf(scope, facts)) {
        const label = { limitId: id, scope: scope.kind, tag: scope.tag, value };
        switch (metric.kind) {
          case "budget": {
            const organizationId = dependsOnRequest(scope.kind) ? "" : facts.organizationId;
            const warning =
              warnAt.length === 0 ? undefined : { percents: warnAt, label, window: metric.window, organizationId };
            const counter = this.#budget(label, metric, warning);
            untilMs = Math.min(untilMs, counter.endMs);
            budgets.push(counter);
            break;
          }
          case "requests_per_minute":
            rates.push(this.rate(`${id}\n${value}`, "requests", label, metric.limit));
            break;
          case "tokens_per_minute":
            rates.push(this.rate(`${id}\n${value}`, "tokens", label, metric.limit));
            break;
          case "concurrency":
            slots.push({
              id: `${id}\n${value}`,
              label,
              total: metric.limit,
              limit: shareOf(metric.limit, this.#share),
            });
            break;
        }
      }
    }
    return { limits: { budgets, rates, slots }, untilMs };
  }

  #budget(
    label: CounterLabel,
    metric: LimitMetric & { readonly kind: "budget" },
    warning: BudgetWarning | undefined,
  ): BudgetCounter {
    const period = this.#period(metric);
    return {
      label,
      account: this.#deps.account(limitBudgetId(label.limitId, label.value, period), {
        limitNanosUsd: metric.nanosUsd,
        provider: label.scope === "provider" ? label.value : undefined,
        warning,
      }),
      limitNanosUsd: metric.nanosUsd,
      window: metric.window,
      endMs: period.endMs,
    };
  }

  #period({ window, zone }: LimitMetric & { readonly kind: "budget" }): BudgetPeriod {
    const nowMs = this.#deps.wallClock();
    const name = `${window} ${zone}`;
    const known = this.#periods.get(name);
    if (known !== undefined && known.startMs <= nowMs && nowMs < known.endMs) {
      return known;
    }
    const period = periodAt(window, zone, nowMs);
    this.#periods.set(name, period);
    return period;
  }
}

/** The id of the budget of one value under a rule, in one window. */
export function limitBudgetId(limitId: string, value: string, period: BudgetPeriod): string {
  return `${limitBudgetPrefix(limitId)}${value}${period.name === "" ? "" : `:${period.name}`}`;
}

/** How the ids of all budgets under a rule begin. */
export function limitBudgetPrefix(limitId: string): string {
  return `limit:${limitId}:`;
}

/** Whole shares that add up to the limit; but no process has nothing, or what reaches it would never be admitted. */
function shareOf(limit: number, { rank, processes }: RateShare): number {
  return limit === 0 ? 0 : Math.max(1, Math.floor(limit / processes) + (rank < limit % processes ? 1 : 0));
}
