import type { WatchKeysResponse } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { WaitRefusal } from "./budget-account.ts";
import { type DirectoryEntry, KeyDirectory, mapKeyRecord } from "./key-directory.ts";
import { KeyFeed } from "./key-feed.ts";
import { LeaseKeeper, type LeaseKeeperOptions } from "./lease-keeper.ts";
import { createRecentSet } from "./recent-set.ts";
import { type Demand, type KeyLimits, type ReserveOutcome, Reservations, type SettleDemand } from "./reserve.ts";
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
  /** Makes a UUID. */
  readonly newId: () => string;
  readonly options: QuotaOptions;
  /** Hears of failures in the background. */
  readonly onError: (error: unknown) => void;
}

/** What came of a request for a hold. */
export type QuotaOutcome =
  | Exclude<ReserveOutcome, { readonly kind: "short" }>
  | { readonly kind: WaitRefusal; readonly entry: DirectoryEntry };

const feedCapacity = 10_000;
const maxFeeds = 10_000;
const settledTtlMs = 600_000;
const settledCapacity = 1_000_000;

/** Keys, their limits and the holds against them: everything that quota decides in this process. */
export class Quota {
  readonly directory: KeyDirectory;
  readonly keeper: LeaseKeeper;
  readonly reservations: Reservations;
  readonly #feeds = new Set<KeyFeed>();
  readonly #deps: QuotaDeps;
  #lastTick: Promise<void> = Promise.resolve();

  constructor(deps: QuotaDeps) {
    this.#deps = deps;
    const { now, newId, options, onError } = deps;
    this.keeper = new LeaseKeeper({ store: deps.budgets, now, newId, options, onError });
    this.reservations = new Reservations({
      holdTtlMs: options.holdTtlMs,
      maxHolds: options.maxHolds,
      settled: createRecentSet({ ttlMs: settledTtlMs, capacity: settledCapacity }),
    });
    this.directory = new KeyDirectory({
      account: (budgetId) => this.keeper.account(budgetId),
      onChange: (key, before) => this.#announce(key, before),
    });
  }

  /** Holds at once when the limits of the key can be decided in memory; else the promise of the decision. */
  reserve(entry: DirectoryEntry, demand: Demand): QuotaOutcome | Promise<QuotaOutcome> {
    const nowMs = this.#deps.now();
    const outcome = this.reservations.reserve(entry.limits, demand, 0, nowMs, this.keeper.isValid(nowMs));
    return outcome.kind === "short" ? this.#waitFor(entry, demand, outcome.accountIndex) : outcome;
  }

  /** Settles a request; the promise, where there is one, is of its way to the process that holds the lease. */
  settle(demand: SettleDemand & { readonly keyId: string }): Promise<void> | undefined {
    const nowMs = this.#deps.now();
    const limits = this.directory.get(demand.keyId)?.limits;
    if (this.reservations.settle(limits, demand, nowMs) !== "forward") {
      return undefined;
    }
    const forwarded = this.#deps.budgets.forwardSettlement({
      requestId: demand.requestId,
      keyId: demand.keyId,
      leaseId: demand.leaseId,
      costNanosUsd: demand.cost,
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
    for (const each of await this.#deps.budgets.takeForwarded()) {
      const demand = {
        requestId: each.requestId,
        leaseId: each.leaseId,
        cost: each.costNanosUsd,
        tokens: Number(each.tokens),
      };
      // What belongs to a lease that has ended meanwhile is charged from the ledger.
      this.reservations.settle(this.directory.get(each.keyId)?.limits, demand, this.#deps.now());
    }
  }

  #announce(key: StoredKey, before: StoredKey | undefined): void {
    for (const feed of this.#feeds) {
      feed.push(mapKeyRecord(key));
    }
    if (before !== undefined && before.budgetNanosUsd !== key.budgetNanosUsd) {
      this.keeper.giveBack([keyBudgetId(key.id)]).catch(this.#deps.onError);
    }
  }

  #waitFor(entry: DirectoryEntry, demand: Demand, accountIndex: number): Promise<QuotaOutcome> {
    return new Promise((resolve) => {
      let isDecided = false;
      let leave: () => void = () => undefined;
      const decide = (outcome: QuotaOutcome): void => {
        isDecided = true;
        clearTimeout(timer);
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        leave();
        decide({ kind: "unavailable", entry });
      }, this.#deps.options.maxWaitMs);
      let partial = 0;
      const waitAt = (limits: KeyLimits, index: number): void => {
        const account = limits.accounts[index];
        if (account === undefined) {
          decide({ kind: "unavailable", entry });
          return;
        }
        const waiter = {
          cost: demand.cost,
          minimum: demand.minimum,
          attempt: (complete: boolean): boolean => {
            if (isDecided) {
              return true;
            }
            partial |= complete ? 1 << index : 0;
            const nowMs = this.#deps.now();
            const outcome = this.reservations.reserve(limits, demand, partial, nowMs, this.keeper.isValid(nowMs));
            if (outcome.kind !== "short") {
              decide(outcome);
              return true;
            }
            if (outcome.accountIndex === index) {
              return false;
            }
            waitAt(limits, outcome.accountIndex);
            return true;
          },
          refuse: (kind: WaitRefusal): void => decide({ kind, entry }),
        };
        leave = () => account.remove(waiter);
        this.keeper.wait(account, waiter);
      };
      waitAt(entry.limits, accountIndex);
    });
  }
}
