import type { LimitRule } from "../limits/limit-rule.ts";
import { Quota } from "../quota.ts";
import { reconcileLeases } from "../reconcile.ts";
import type { Hold } from "../reserve.ts";
import { createMemoryBudgetStore, type MemoryBudgets } from "../store/memory.ts";
import type { BudgetStore, KeyStore, StoredKey } from "../store/store.ts";
import { testOptions } from "../testing.ts";
import { type Network, overNetwork } from "./network.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** One process of quota, until it ends. */
export interface SimProcess {
  readonly name: string;
  readonly quota: Quota;
  /** Every hold that was made here and may still be there, by request. */
  readonly holds: Map<string, Hold>;
  isAlive: boolean;
  /** How far its clocks are ahead of the store's. */
  clockAheadMs: number;
  wallAheadMs: number;
  /** Whether it still holds something for a request; false when that has expired, was settled or is lost. */
  isHolding(requestId: string): boolean;
}

/** What a process works with. */
export interface SimProcessDeps {
  readonly name: string;
  readonly time: VirtualTime;
  readonly network: Network;
  readonly shared: MemoryBudgets;
  readonly keys: KeyStore;
  readonly known: readonly StoredKey[];
  readonly rules: readonly LimitRule[];
  /** Watches the store, or breaks it. */
  readonly wrapStore: (store: BudgetStore) => BudgetStore;
  /** Hears of settlements from other processes that are about to be applied. */
  readonly onForwarded: (process: SimProcess, requestIds: readonly string[]) => void;
  /** What the ledger has for leases. */
  readonly sumLeases: (leaseIds: readonly string[]) => ReadonlyMap<string, bigint>;
}

const leaseTtlMs = 30_000;
/** How long after its end a lease is reconciled, as where several processes share a database. */
const reconcileGraceMs = 60_000;
const holdTtlMs = 120_000;
const flushIntervalMs = 1_000;
const reconcileIntervalMs = 5_000;

/** Starts a process: its quota, and the loops that the module runs. */
export function startSimProcess(deps: SimProcessDeps): SimProcess {
  const { name, time, network, shared } = deps;
  let leases = 0;
  const now = (): number => time.nowMs + process.clockAheadMs;
  const store = deps.wrapStore(createMemoryBudgetStore({ shared, holder: name, leaseTtlMs, now: () => time.nowMs }));
  const remote = overNetwork(store, network, () => process.isAlive);
  const budgets: BudgetStore = {
    ...remote,
    async takeForwarded(applied) {
      const taken = await remote.takeForwarded(applied);
      deps.onForwarded(
        process,
        taken.map(({ requestId }) => requestId),
      );
      return taken;
    },
  };
  const quota = new Quota({
    budgets,
    keys: deps.keys,
    now,
    wallClock: () => time.nowMs + process.wallAheadMs,
    newId: () => {
      leases += 1;
      return `${name}-lease${leases}`;
    },
    options: {
      ...testOptions,
      holdTtlMs,
      maxWaitMs: 2_000,
      refillTimeoutMs: 250,
      flushTimeoutMs: 1_000,
      sliceMaximum: 400n,
    },
    // The network fails all the time; what comes of it is what is looked at.
    onError: () => undefined,
  });
  const process: SimProcess = {
    name,
    quota,
    holds: new Map(),
    isAlive: true,
    clockAheadMs: 0,
    wallAheadMs: 0,
    // Holding nothing more changes nothing, and tells whether the hold is there.
    isHolding: (requestId) => quota.reservations.extend(requestId, 0n, now(), true).kind === "held",
  };
  const sumLeases = (leaseIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> =>
    network.call(() => Promise.resolve(deps.sumLeases(leaseIds)));
  quota.setRules(deps.rules);
  for (const key of deps.known) {
    quota.directory.put(key);
  }
  const repeat = (work: () => Promise<unknown>, intervalMs: number): void => {
    const again = (): void => repeat(work, intervalMs);
    time.after(intervalMs, () => {
      if (process.isAlive) {
        // A run that failed is followed by the next one, as in the module.
        work().then(again, again);
      }
    });
  };
  repeat(() => quota.tick(), flushIntervalMs);
  repeat(() => reconcileLeases({ store: budgets, sumLeases, graceMs: reconcileGraceMs }), reconcileIntervalMs);
  return process;
}
