import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { WatchKeysResponse } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { Account, WaitRefusal } from "./budget-account.ts";
import { type DirectoryEntry, KeyDirectory, type RequestFacts } from "./key-directory.ts";
import { KeyFeed } from "./key-feed.ts";
import { LeaseKeeper, type LeaseKeeperOptions } from "./lease-keeper.ts";
import type { BudgetCounter, RequestLimits } from "./limits/counters.ts";
import { LimitBook, maxBudgetsOfRequest } from "./limits/limit-book.ts";
import type { LimitRule } from "./limits/limit-rule.ts";
import { createRecentSet } from "./recent-set.ts";
import { type Demand, type ExtendOutcome, type ReserveOutcome, Reservations, type SettleDemand } from "./reserve.ts";
import { type BudgetStore, keyBudgetId, type KeyStore, type StoredKey } from "./store/store.ts";

/** Settings of the domain, in milliseconds. */
export interface QuotaOptions extends LeaseKeeperOptions {
  readonly holdTtlMs: number;
  readonly maxHolds: number;
  /** The longest that a request waits for its budget, whatever the number of round trips. */
  readonly maxWaitMs: number;
}

/** What the domain works with. */
export interface QuotaDeps {
  readonly budgets: BudgetStore;
  readonly keys: KeyStore;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
  /** Milliseconds since 1970, for the windows of budgets. */
  readonly wallClock: () => number;
  /** Makes a UUID. */
  readonly newId: () => string;
  readonly options: QuotaOptions;
  /** Hears of failures in the background. */
  readonly onError: (error: unknown) => void;
  /** Hears how much of a budget is spent each time the store says so. */
  readonly onSpent?: (account: Account, spentNanosUsd: bigint) => void;
}

/** What came of a request for a hold. */
export type QuotaOutcome =
  | Exclude<ReserveOutcome, { readonly kind: "short" }>
  | { readonly kind: WaitRefusal; readonly budget: BudgetCounter | undefined };

/** What came of a request for a larger hold. */
export type QuotaExtension =
  | Exclude<ExtendOutcome, { readonly kind: "short" }>
  | { readonly kind: WaitRefusal; readonly budget: BudgetCounter | undefined };

const feedCapacity = 10_000;
const maxFeeds = 10_000;
const settledTtlMs = 600_000;
const settledCapacity = 1_000_000;

/** Keys, their limits and the holds against them: everything that quota decides in this process. */
export class Quota {
  readonly book: LimitBook;
  readonly directory: KeyDirectory;
  readonly keeper: LeaseKeeper;
  readonly reservations: Reservations;
  readonly #feeds = new Set<KeyFeed>();
  readonly #deps: QuotaDeps;
  #lastTick: Promise<void> = Promise.resolve();
  /** Settlements from other processes that were applied, and that the store may still keep. */
  #applied: readonly string[] = [];

  constructor(deps: QuotaDeps) {
    this.#deps = deps;
    const { now, newId, options, onError } = deps;
    const { onSpent } = deps;
    this.keeper = new LeaseKeeper({
      store: deps.budgets,
      now,
      newId,
      options,
      onError,
      ...(onSpent === undefined ? {} : { onSpent }),
    });
    this.book = new LimitBook({
      account: (budgetId, rule) => this.keeper.account(budgetId, rule),
      wallClock: deps.wallClock,
    });
    this.directory = new KeyDirectory({
      account: (budgetId) => this.keeper.account(budgetId),
      book: this.book,
      wallClock: deps.wallClock,
      onChange: (key, before) => this.#announce(key, before),
    });
    this.reservations = new Reservations({
      holdTtlMs: options.holdTtlMs,
      maxHolds: options.maxHolds,
      settled: createRecentSet({ ttlMs: settledTtlMs, capacity: settledCapacity }),
      findSlice: (leaseId) => this.keeper.findSlice(leaseId),
    });
  }

  /** Replaces the limits beside those of keys. Callers learn anew which keys have what. */
  setRules(rules: readonly LimitRule[]): void {
    const before = new Map(this.book.rules.map((rule) => [rule.id, rule.metric]));
    this.book.setRules(rules);
    for (const { id, metric } of rules) {
      const known = before.get(id);
      if (metric.kind === "budget" && known?.kind === "budget" && known.nanosUsd !== metric.nanosUsd) {
        // What this process has taken of the budget must not outlive a lower limit.
        this.keeper.setLimit(id, metric.nanosUsd).catch(this.#deps.onError);
      }
    }
    this.endFeeds();
  }

  /** Holds at once when all limits of the request can be decided in memory; else the promise of the decision. */
  reserve(entry: DirectoryEntry, demand: Demand, facts: RequestFacts): QuotaOutcome | Promise<QuotaOutcome> {
    const nowMs = this.#deps.now();
    const limits = this.directory.limitsOf(entry, facts);
    if (limits.budgets.length > maxBudgetsOfRequest) {
      throw gatewayError(
        ErrorReason.INVALID_REQUEST,
        `More than ${maxBudgetsOfRequest} budgets apply to this request: its model has too many providers with one.`,
      );
    }
    const outcome = this.reservations.reserve(limits, demand, 0, nowMs, this.keeper.isValid(nowMs));
    return outcome.kind === "short" ? this.#waitForHold(limits, demand, outcome.budgetIndex) : outcome;
  }

  /** Makes the hold of a request that runs as large as `total`, or leaves it as it is. */
  extend(requestId: string, total: bigint): QuotaExtension | Promise<QuotaExtension> {
    const attempt = (): ExtendOutcome => {
      const nowMs = this.#deps.now();
      return this.reservations.extend(requestId, total, nowMs, this.keeper.isValid(nowMs));
    };
    const outcome = attempt();
    if (outcome.kind !== "short") {
      return outcome;
    }
    const more = total - outcome.hold.amount;
    return this.#wait(outcome.hold.limits.budgets, { cost: more, minimum: more }, outcome.budgetIndex, () => {
      const next = attempt();
      return next.kind === "short" ? next.budgetIndex : next;
    });
  }

  /** Settles a request; the promise, where there is one, is of its way to the process that holds the leases. */
  settle(demand: SettleDemand & { readonly keyId: string }): Promise<void> | undefined {
    const nowMs = this.#deps.now();
    if (this.reservations.settle(this.#limitsOf(demand.keyId), demand, nowMs) !== "forward") {
      return undefined;
    }
    const forwarded = this.#deps.budgets.forwardSettlement({
      requestId: demand.requestId,
      keyId: demand.keyId,
      leaseIds: demand.leaseIds,
      costNanosUsd: demand.cost,
      providerCosts: demand.providerCosts,
      tokens: BigInt(demand.tokens),
    });
    return forwarded.then(() => this.reservations.markForwarded(demand.requestId, nowMs));
  }

  /** Does what is due: expires holds, takes settlements from other processes, tells the store what changed. */
  tick(): Promise<void> {
    const run = (): Promise<void> => this.#tick();
    // One after the other: who asks for a tick gets one that began after it asked.
    this.#lastTick = this.#lastTick.then(run, run);
    return this.#lastTick;
  }

  async #tick(): Promise<void> {
    this.reservations.expire(this.#deps.now());
    if (this.keeper.openSlices > 0) {
      await this.keeper.flush();
      await this.#takeForwarded();
    }
  }

  /** Makes the stream of keys for one caller. Throws when there are too many. */
  watchKeys(): AsyncIterableIterator<WatchKeysResponse> & { end(): void } {
    if (this.#feeds.size >= maxFeeds) {
      throw new RangeError("too many streams of keys");
    }
    const feed = new KeyFeed(this.directory.records(), feedCapacity, (ended) => this.#feeds.delete(ended));
    this.#feeds.add(feed);
    return feed;
  }

  /** How many streams of keys there are. */
  get watchers(): number {
    return this.#feeds.size;
  }

  /** Ends all streams of keys. */
  endFeeds(): void {
    for (const feed of this.#feeds) {
      feed.end();
    }
  }

  async #takeForwarded(): Promise<void> {
    const forwarded = await this.#deps.budgets.takeForwarded(this.#applied);
    for (const each of forwarded) {
      const demand = {
        requestId: each.requestId,
        leaseIds: each.leaseIds,
        cost: each.costNanosUsd,
        providerCosts: each.providerCosts,
        tokens: Number(each.tokens),
      };
      // What belongs to leases that have ended meanwhile is charged from the ledger.
      this.reservations.settle(this.#limitsOf(each.keyId), demand, this.#deps.now());
    }
    this.#applied = forwarded.map(({ requestId }) => requestId);
  }

  /** What a late settlement counts in, when nothing is known of its request but the key. */
  #limitsOf(keyId: string): RequestLimits | undefined {
    const entry = this.directory.get(keyId);
    return entry === undefined ? undefined : this.directory.limitsOf(entry, { tags: {}, model: "", providers: [] });
  }

  #announce(key: StoredKey, before: StoredKey | undefined): void {
    const entry = this.directory.get(key.id);
    if (entry !== undefined) {
      for (const feed of this.#feeds) {
        feed.push(this.directory.recordOf(entry));
      }
    }
    if (before !== undefined && before.budgetNanosUsd !== key.budgetNanosUsd) {
      this.keeper.giveBack([keyBudgetId(key.id)]).catch(this.#deps.onError);
    }
  }

  #waitForHold(limits: RequestLimits, demand: Demand, budgetIndex: number): Promise<QuotaOutcome> {
    let partial = 0;
    return this.#wait(limits.budgets, demand, budgetIndex, (index, complete) => {
      partial |= complete ? 1 << index : 0;
      const nowMs = this.#deps.now();
      const outcome = this.reservations.reserve(limits, demand, partial, nowMs, this.keeper.isValid(nowMs));
      return outcome.kind === "short" ? outcome.budgetIndex : outcome;
    });
  }

  /**
   * Waits at one budget after the other until an attempt is decided. An attempt gives the place of the budget that is
   * short, or what it came to; it is told at which budget it waited, and whether that has given all it can.
   */
  #wait<Outcome extends object>(
    budgets: readonly BudgetCounter[],
    amounts: { readonly cost: bigint; readonly minimum: bigint },
    firstIndex: number,
    attempt: (index: number, complete: boolean) => number | Outcome,
  ): Promise<Outcome | { readonly kind: WaitRefusal; readonly budget: BudgetCounter | undefined }> {
    return new Promise((resolve) => {
      let isDecided = false;
      let leave: () => void = () => undefined;
      const decide = (
        outcome: Outcome | { readonly kind: WaitRefusal; readonly budget: BudgetCounter | undefined },
      ): void => {
        isDecided = true;
        clearTimeout(timer);
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        leave();
        decide({ kind: "unavailable", budget: undefined });
      }, this.#deps.options.maxWaitMs);
      const waitAt = (index: number): void => {
        const budget = budgets[index];
        if (budget === undefined) {
          decide({ kind: "unavailable", budget });
          return;
        }
        const waiter = {
          ...amounts,
          attempt: (complete: boolean): boolean => {
            if (isDecided) {
              return true;
            }
            const outcome = attempt(index, complete);
            if (typeof outcome !== "number") {
              decide(outcome);
              return true;
            }
            if (outcome === index) {
              return false;
            }
            waitAt(outcome);
            return true;
          },
          refuse: (kind: WaitRefusal): void => decide({ kind, budget }),
        };
        leave = () => budget.account.remove(waiter);
        this.keeper.wait(budget.account, waiter);
      };
      waitAt(firstIndex);
    });
  }
}
