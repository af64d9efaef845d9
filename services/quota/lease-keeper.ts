import { Account, type BudgetRule, type Waiter } from "./budget-account.ts";
import { limitBudgetPrefix } from "./limits/limit-book.ts";
import { Slice } from "./slice.ts";
import type { BudgetStore, LeaseSync, LeaseSyncResult } from "./store/store.ts";
import { withDeadline } from "./with-deadline.ts";

/** Settings of the keeper. Times are milliseconds, amounts nano-US-dollars. */
export interface LeaseKeeperOptions {
  /** How long the store may take while a request waits. */
  readonly refillTimeoutMs: number;
  /** How long it may take for everything else. */
  readonly flushTimeoutMs: number;
  /** How long after its last word slices are used on. */
  readonly graceMs: number;
  /** How long after a failure requests are refused without asking again. */
  readonly retryMs: number;
  /** When an unused slice is given back. */
  readonly idleMs: number;
  /** How often the store is told that an unchanged slice lives. */
  readonly extendMs: number;
  /** The most that is taken at once while the budget is large. */
  readonly sliceMaximum: bigint;
  /** The most requests that wait for one budget. */
  readonly maxWaiting: number;
}

/** What the keeper works with. */
export interface LeaseKeeperDeps {
  readonly store: BudgetStore;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
  /** Makes the id of a lease, a UUID. */
  readonly newId: () => string;
  readonly options: LeaseKeeperOptions;
  /** Hears of failures in the background. */
  readonly onError: (error: unknown) => void;
  /** Hears how much of a budget is spent each time the store says so. */
  readonly onSpent?: (account: Account, spentNanosUsd: bigint) => void;
}

const flushBatch = 500;
const maxFruitless = 3;
const forgetIntervalMs = 60_000;
// Longer than any request waits for its budget.
const forgetAfterMs = 600_000;

/** Keeps the slices of all budgets of this process in step with the store. */
export class LeaseKeeper {
  readonly #accounts = new Map<string, Account>();
  readonly #open = new Set<Account>();
  readonly #bySlice = new Map<string, Account>();
  readonly #refills = new Set<Promise<void>>();
  readonly #deps: LeaseKeeperDeps;
  #lastContactMs = Number.NEGATIVE_INFINITY;
  #refusingUntilMs = Number.NEGATIVE_INFINITY;
  #lastForgotMs = 0;
  #isStopped = false;

  constructor(deps: LeaseKeeperDeps) {
    this.#deps = deps;
  }

  /**
   * The budget as this process sees it. `rule` is for budgets whose limit the store does not know; those are forgotten
   * when nobody has used them for a while, since there is one for each window.
   */
  account(budgetId: string, rule?: BudgetRule): Account {
    let account = this.#accounts.get(budgetId);
    if (account === undefined) {
      account = new Account(budgetId, rule);
      this.#accounts.set(budgetId, account);
    } else if (rule !== undefined) {
      account.limitNanosUsd = rule.limitNanosUsd;
      account.warning = rule.warning;
    }
    account.lastUseMs = this.#deps.now();
    return account;
  }

  /** The open slice of a lease, with the provider whose costs it counts; undefined when this process has none of that name. */
  findSlice(leaseId: string): { readonly slice: Slice; readonly provider: string | undefined } | undefined {
    const account = this.#bySlice.get(leaseId);
    return account?.slice === undefined ? undefined : { slice: account.slice, provider: account.provider };
  }

  /** How many budgets are remembered. */
  get accounts(): number {
    return this.#accounts.size;
  }

  /** How many budgets have a slice. */
  get openSlices(): number {
    return this.#open.size;
  }

  /** Whether slices may be used: the store was heard of recently. */
  isValid(nowMs: number): boolean {
    return nowMs - this.#lastContactMs <= this.#deps.options.graceMs;
  }

  /** Lets a request wait for more of a budget; it is decided within a few round trips, or refused. */
  wait(account: Account, waiter: Waiter): void {
    if (
      this.#isStopped ||
      account.waiting >= this.#deps.options.maxWaiting ||
      this.#deps.now() < this.#refusingUntilMs
    ) {
      waiter.refuse("unavailable");
      return;
    }
    account.enqueue(waiter);
    this.#startRefill(account);
  }

  /**
   * Tells the store what changed, keeps leases alive, gives back slices that are not used. Resolves when done; rejects
   * when the store could not be asked.
   */
  async flush(): Promise<void> {
    const nowMs = this.#deps.now();
    this.#forgetUnused(nowMs);
    const { idleMs, extendMs } = this.#deps.options;
    const due: Account[] = [];
    let unchanged: Account | undefined;
    const closes = (account: Account): boolean =>
      account.waiting === 0 && nowMs - account.lastUseMs >= idleMs && account.slice?.held === 0n;
    for (const account of this.#open) {
      if (account.isSyncing) {
        continue;
      }
      if (account.isLimitStale) {
        account.isLimitStale = false;
        account.slice?.giveUpAvailable();
      }
      if (account.slice?.isDirty === true || nowMs - account.lastSyncMs >= extendMs || closes(account)) {
        due.push(account);
      } else {
        unchanged = account;
      }
    }
    if (due.length === 0 && unchanged !== undefined) {
      // One unchanged slice is enough to learn whether the store is there, which is what keeps all slices valid.
      due.push(unchanged);
    }
    due.sort(byBudgetId);
    for (let start = 0; start < due.length; start += flushBatch) {
      await this.#syncBatch(due.slice(start, start + flushBatch), closes);
    }
  }

  /** Tells the store all about some budgets and gives back what is available of them, so that a new limit applies. */
  async giveBack(budgetIds: readonly string[]): Promise<void> {
    await this.#giveBack(budgetIds.flatMap((id) => this.#accounts.get(id) ?? []));
  }

  /** As giveBack, for all budgets of a limit, which allows another amount from now on. */
  async setLimit(limitId: string, limitNanosUsd: bigint): Promise<void> {
    const prefix = limitBudgetPrefix(limitId);
    const accounts = [...this.#accounts.values()].filter(({ budgetId }) => budgetId.startsWith(prefix));
    for (const account of accounts) {
      account.limitNanosUsd = limitNanosUsd;
    }
    await this.#giveBack(accounts);
  }

  async #giveBack(all: readonly Account[]): Promise<void> {
    const accounts = all.filter((account) => !account.isSyncing);
    for (const account of all) {
      // What is on its way to the store is told by the next flush.
      account.isLimitStale = account.isSyncing;
    }
    for (const account of accounts) {
      account.slice?.giveUpAvailable();
    }
    await this.#syncBatch(accounts.filter((account) => account.slice !== undefined).toSorted(byBudgetId), () => false);
  }

  /** Gives everything back that is not held, for the end of the process. What is held is reconciled by others. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#refills);
    const accounts = [...this.#open].toSorted(byBudgetId);
    for (const account of accounts) {
      account.slice?.giveUpAvailable();
    }
    for (let start = 0; start < accounts.length; start += flushBatch) {
      await this.#syncBatch(accounts.slice(start, start + flushBatch), (account) => account.slice?.held === 0n);
    }
  }

  async #syncBatch(accounts: readonly Account[], closes: (account: Account) => boolean): Promise<void> {
    const batch = accounts.flatMap((account) => {
      const { slice, isSyncing } = account;
      return slice === undefined || isSyncing ? [] : [{ account, slice, close: closes(account) }];
    });
    if (batch.length === 0) {
      return;
    }
    const syncs = batch.map(({ account, slice, close }) => {
      account.isSyncing = true;
      if (close) {
        // From here on nothing can be held of it; who comes meanwhile waits for a new slice.
        slice.giveUpAvailable();
        this.#setSlice(account, undefined);
      }
      return this.#describe(account, slice, { need: 0n, minimum: 0n, close });
    });
    try {
      const results = await this.#ask(syncs, this.#deps.options.flushTimeoutMs);
      batch.forEach(({ account, slice, close }, index) => {
        this.#apply(account, slice, results[index], close);
      });
    } catch (error) {
      for (const { account, slice } of batch) {
        slice.markDirty();
        // Without an answer a slice that was to be closed goes on: its next synchronisation tells what became of it.
        this.#setSlice(account, slice);
      }
      throw error;
    } finally {
      for (const { account } of batch) {
        account.isSyncing = false;
        this.#startRefill(account);
      }
    }
  }

  #startRefill(account: Account): void {
    if (!account.isSyncing && account.waiting > 0) {
      // Never rejects: its failures are told to those who wait, and to onError.
      const refill = this.#refill(account);
      this.#refills.add(refill);
      void refill.finally(() => this.#refills.delete(refill));
    }
  }

  #setSlice(account: Account, slice: Slice | undefined): void {
    if (account.slice !== undefined) {
      this.#bySlice.delete(account.slice.leaseId);
    }
    account.slice = slice;
    if (slice === undefined) {
      this.#open.delete(account);
    } else {
      this.#open.add(account);
      this.#bySlice.set(slice.leaseId, account);
    }
  }

  /** Past windows leave budgets behind. One that is still named by a request's limits is made again when it is used. */
  #forgetUnused(nowMs: number): void {
    if (nowMs - this.#lastForgotMs < forgetIntervalMs) {
      return;
    }
    this.#lastForgotMs = nowMs;
    for (const [id, account] of this.#accounts) {
      const isUnused = account.slice === undefined && account.waiting === 0 && !account.isSyncing;
      if (account.limitNanosUsd !== undefined && isUnused && nowMs - account.lastUseMs > forgetAfterMs) {
        this.#accounts.delete(id);
      }
    }
  }

  #openSlice(account: Account): Slice {
    if (account.slice !== undefined) {
      return account.slice;
    }
    const slice = new Slice(this.#deps.newId(), account.budgetId);
    this.#setSlice(account, slice);
    return slice;
  }

  async #refill(account: Account): Promise<void> {
    account.isSyncing = true;
    try {
      account.serve(undefined);
      let fruitless = 0;
      for (let first = account.first; first !== undefined; first = account.first) {
        const slice = this.#openSlice(account);
        const missing = first.cost - slice.available;
        const least = first.minimum - slice.available;
        const sync = this.#describe(account, slice, {
          need: missing > 0n ? missing : 0n,
          minimum: least > 0n ? least : 0n,
          close: false,
        });
        const [result] = await this.#ask([sync], this.#deps.options.refillTimeoutMs);
        const room = this.#apply(account, slice, result, false);
        if (room !== undefined) {
          account.serve(room);
        }
        fruitless = account.first === first ? fruitless + 1 : 0;
        if (fruitless > maxFruitless) {
          // A budget that was deleted loses each lease at once.
          account.refuseAll("unavailable");
        }
      }
    } catch (error) {
      account.slice?.markDirty();
      account.refuseAll("unavailable");
      this.#deps.onError(error);
    } finally {
      account.isSyncing = false;
    }
    this.#startRefill(account);
  }

  #describe(
    account: Account,
    slice: Slice,
    ask: { readonly need: bigint; readonly minimum: bigint; readonly close: boolean },
  ): LeaseSync {
    return {
      leaseId: slice.leaseId,
      budgetId: slice.budgetId,
      limit: account.limitNanosUsd,
      isNew: slice.isNew,
      sequence: slice.nextSequence(),
      granted: slice.granted,
      spent: slice.spent,
      held: slice.held,
      maximum: this.#deps.options.sliceMaximum,
      ...ask,
    };
  }

  async #ask(syncs: readonly LeaseSync[], timeoutMs: number): Promise<readonly LeaseSyncResult[]> {
    try {
      const results = await withDeadline(this.#deps.store.syncLeases(syncs), timeoutMs);
      this.#lastContactMs = this.#deps.now();
      this.#refusingUntilMs = Number.NEGATIVE_INFINITY;
      return results;
    } catch (error) {
      this.#refusingUntilMs = this.#deps.now() + this.#deps.options.retryMs;
      throw error;
    }
  }

  /** Takes over an answer; returns the room of the budget when it was told. */
  #apply(account: Account, slice: Slice, result: LeaseSyncResult | undefined, closed: boolean): bigint | undefined {
    account.lastSyncMs = this.#deps.now();
    switch (result?.kind) {
      case "synced":
        slice.isNew = false;
        if (!closed) {
          slice.setGranted(result.granted);
        }
        account.roomNanosUsd = result.room;
        account.extraNanosUsd = result.extra;
        this.#deps.onSpent?.(account, result.spent);
        return result.room;
      case "lost":
        slice.isLost = true;
        if (account.slice === slice) {
          this.#setSlice(account, undefined);
        }
        return undefined;
      case "stale":
      case undefined:
        slice.markDirty();
        return undefined;
    }
  }
}

function byBudgetId(a: Account, b: Account): number {
  return a.budgetId < b.budgetId ? -1 : a.budgetId > b.budgetId ? 1 : 0;
}
