import type { CounterLabel } from "./limits/counters.ts";
import type { BudgetWindow } from "./limits/limit-rule.ts";
import type { Slice } from "./slice.ts";

/** Why a request that waited for a budget was not served. */
export type WaitRefusal = "exhausted" | "unavailable";

/** A request that waits for an account. */
export interface Waiter {
  readonly cost: bigint;
  readonly minimum: bigint;
  /** Tries again; `complete` says that the account has all it can get. True when the request is decided. */
  attempt(complete: boolean): boolean;
  refuse(reason: WaitRefusal): void;
}

/** What is known here of a budget that is made by its first lease. */
export interface BudgetRule {
  readonly limitNanosUsd: bigint;
  readonly provider: string | undefined;
  /** Undefined where nobody wants to be warned. */
  readonly warning?: BudgetWarning | undefined;
}

/** When somebody is to hear how much of a budget is spent, and whose it is. */
export interface BudgetWarning {
  /** From 1 to 100, ascending. */
  readonly percents: readonly number[];
  readonly label: CounterLabel;
  readonly window: BudgetWindow;
  /** Empty where the budget belongs to no tenant, as that of a model. */
  readonly organizationId: string;
}

/**
 * One budget of this process: its slice, and the requests that wait for it, in order. At most one synchronisation with
 * the store runs at a time.
 */
export class Account {
  readonly budgetId: string;
  /** What the budget allows in all, in nano-US-dollars; undefined where the store knows. */
  limitNanosUsd: bigint | undefined;
  /** The provider whose costs alone count; undefined when all do. */
  readonly provider: string | undefined;
  warning: BudgetWarning | undefined;
  /** The largest share, in percent, that somebody was warned of. */
  warnedPercent = 0;
  /** What the budget had left for any lease when the store last told; undefined before. */
  roomNanosUsd: bigint | undefined;
  /** What top-ups have added to its limit, as the store last told. */
  extraNanosUsd = 0n;
  /** What this process may decide about; undefined until it is first needed, and after it was given back. */
  slice: Slice | undefined;
  /** When a request last used it, in milliseconds. */
  lastUseMs = 0;
  /** When the store last answered for it, in milliseconds. */
  lastSyncMs = 0;
  isSyncing = false;
  /** Whether what is available of the slice is to be given back, because the limit has changed. */
  isLimitStale = false;
  #waiters: Waiter[] = [];

  constructor(budgetId: string, rule?: BudgetRule) {
    this.budgetId = budgetId;
    this.limitNanosUsd = rule?.limitNanosUsd;
    this.provider = rule?.provider;
    this.warning = rule?.warning;
  }

  /** How many requests wait for more, or for the store's word that there is no more. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** The request that is served next. */
  get first(): Waiter | undefined {
    return this.#waiters[0];
  }

  enqueue(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  remove(waiter: Waiter): void {
    const index = this.#waiters.indexOf(waiter);
    if (index >= 0) {
      this.#waiters.splice(index, 1);
    }
  }

  /**
   * Serves waiting requests in order until one needs more than the slice has and the budget may still have it. `room` is
   * what the budget had left when the store was last asked; undefined when it was not asked since they began to wait.
   */
  serve(room: bigint | undefined): void {
    const waiters = this.#waiters;
    const known = room === undefined ? undefined : room > 0n ? room : 0n;
    let decided = 0;
    for (const waiter of waiters) {
      if (!waiter.attempt(known === 0n)) {
        const available = this.slice?.available ?? 0n;
        if (known === undefined || waiter.minimum <= available + known) {
          break;
        }
        waiter.refuse("exhausted");
      }
      decided += 1;
    }
    waiters.splice(0, decided);
  }

  /** Refuses all waiting requests. */
  refuseAll(reason: WaitRefusal): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      waiter.refuse(reason);
    }
  }
}
