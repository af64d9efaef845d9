import type { BudgetState, BudgetStore, ForwardedSettlement, LeaseSync, LeaseSyncResult } from "./store.ts";

interface Budget {
  limit: bigint | undefined;
  /** What top-ups have added. */
  extra: bigint;
  spent: bigint;
  leased: bigint;
}

interface Lease {
  readonly budgetId: string;
  readonly holder: string;
  granted: bigint;
  settled: bigint;
  held: bigint;
  sequence: number;
  open: boolean;
  expireMs: number;
  closeMs: number;
  checkMs: number;
}

const maxTaken = 1_000;
const hourMs = 3_600_000;
const checkMs = 10_000;

/** Budgets that several stores share, as processes share a database. Grows with its use: for unit tests only. */
export class MemoryBudgets {
  readonly budgets = new Map<string, Budget>();
  readonly leases = new Map<string, Lease>();
  readonly forwarded = new Map<string, ForwardedSettlement & { readonly holder: string }>();

  /** Makes a budget, or changes its limit. */
  setLimit(budgetId: string, limit: bigint | undefined): void {
    const budget = this.budgets.get(budgetId);
    if (budget === undefined) {
      this.budgets.set(budgetId, { limit, extra: 0n, spent: 0n, leased: 0n });
    } else {
      budget.limit = limit;
    }
  }

  /** Adds to a budget that is there. */
  topUp(budgetId: string, nanosUsd: bigint): void {
    const budget = this.budgets.get(budgetId);
    if (budget === undefined) {
      throw new Error("there is no such budget");
    }
    budget.extra += nanosUsd;
  }
}

/** Makes a store that forgets everything with its process. */
export function createMemoryBudgetStore(deps: {
  readonly shared: MemoryBudgets;
  readonly holder: string;
  readonly leaseTtlMs: number;
  readonly now: () => number;
}): BudgetStore {
  const { shared, holder, now } = deps;
  return {
    syncLeases: (syncs) =>
      Promise.resolve(syncs.map((sync) => applySync(shared, sync, holder, now() + deps.leaseTtlMs, now()))),
    readBudgets(budgetIds) {
      const states = new Map<string, BudgetState>();
      for (const id of budgetIds) {
        const budget = shared.budgets.get(id);
        if (budget !== undefined) {
          let heldNanosUsd = 0n;
          for (const lease of shared.leases.values()) {
            heldNanosUsd += lease.open && lease.budgetId === id ? lease.held : 0n;
          }
          states.set(id, { spentNanosUsd: budget.spent, heldNanosUsd });
        }
      }
      return Promise.resolve(states);
    },
    forwardSettlement(settlement) {
      const lease = settlement.leaseIds.toSorted().find((leaseId) => shared.leases.get(leaseId)?.open === true);
      const id = `${lease} ${settlement.requestId}`;
      if (lease !== undefined && !shared.forwarded.has(id)) {
        shared.forwarded.set(id, { ...settlement, holder: shared.leases.get(lease)?.holder ?? "" });
      }
      return Promise.resolve();
    },
    takeForwarded(appliedRequestIds) {
      const taken: ForwardedSettlement[] = [];
      for (const [id, { holder: addressee, ...settlement }] of shared.forwarded) {
        if (addressee === holder && appliedRequestIds.includes(settlement.requestId)) {
          shared.forwarded.delete(id);
        } else if (taken.length < maxTaken && addressee === holder) {
          taken.push(settlement);
        }
      }
      return Promise.resolve(taken);
    },
    leasesToReconcile(graceMs, limit) {
      const due: string[] = [];
      for (const [id, lease] of shared.leases) {
        if (due.length < limit && (lease.open ? lease.expireMs + graceMs : lease.checkMs) <= now()) {
          due.push(id);
        }
      }
      return Promise.resolve(due);
    },
    reconcileLease: (leaseId, ledger, graceMs) => Promise.resolve(reconcile(shared, leaseId, ledger, graceMs, now())),
    expireLeases() {
      for (const lease of shared.leases.values()) {
        lease.expireMs = Math.min(lease.expireMs, now());
      }
      return Promise.resolve();
    },
  };
}

function applySync(
  shared: MemoryBudgets,
  sync: LeaseSync,
  holder: string,
  expireMs: number,
  nowMs: number,
): LeaseSyncResult {
  if (sync.limit !== undefined) {
    shared.setLimit(sync.budgetId, sync.limit);
  }
  const budget = shared.budgets.get(sync.budgetId);
  let lease = shared.leases.get(sync.leaseId);
  if (budget === undefined || (lease === undefined && !sync.isNew) || lease?.open === false) {
    return { kind: "lost" };
  }
  if (lease === undefined) {
    const { budgetId } = sync;
    lease = {
      budgetId,
      holder,
      granted: 0n,
      settled: 0n,
      held: 0n,
      sequence: 0,
      open: true,
      expireMs,
      closeMs: 0,
      checkMs: 0,
    };
    shared.leases.set(sync.leaseId, lease);
  }
  if (lease.sequence >= sync.sequence || sync.spent < lease.settled) {
    return { kind: "stale" };
  }
  const base = sync.close ? sync.spent : max(sync.granted, sync.spent + sync.held);
  let room =
    budget.limit === undefined
      ? 1n << 62n
      : budget.limit + budget.extra - budget.spent - budget.leased + lease.granted - base;
  let more = 0n;
  if (sync.need > 0n && room > 0n && room >= sync.minimum && !sync.close) {
    more = min(room, max(sync.need, min(room / 8n, sync.maximum)));
    room -= more;
  }
  budget.spent += sync.spent - lease.settled;
  budget.leased += base + more - sync.spent - (lease.granted - lease.settled);
  lease.granted = base + more;
  lease.settled = sync.spent;
  lease.held = sync.close ? 0n : sync.held;
  lease.sequence = sync.sequence;
  lease.open = !sync.close;
  lease.expireMs = expireMs;
  lease.closeMs = nowMs;
  lease.checkMs = nowMs + checkMs;
  return { kind: "synced", granted: lease.granted, room, extra: budget.extra, spent: budget.spent };
}

function reconcile(shared: MemoryBudgets, leaseId: string, ledger: bigint, graceMs: number, nowMs: number): bigint {
  const lease = shared.leases.get(leaseId);
  const budget = lease === undefined ? undefined : shared.budgets.get(lease.budgetId);
  if (lease === undefined || budget === undefined || (lease.open && lease.expireMs + graceMs > nowMs)) {
    return 0n;
  }
  const settled = max(lease.settled, ledger);
  const charged = settled - lease.settled;
  budget.spent += charged;
  if (lease.open) {
    budget.leased -= lease.granted - lease.settled;
    lease.open = false;
    lease.held = 0n;
    lease.closeMs = nowMs;
    lease.checkMs = nowMs + checkMs;
  } else if (lease.closeMs + hourMs <= nowMs) {
    shared.leases.delete(leaseId);
  } else {
    lease.checkMs = Math.min(nowMs + 2 * (nowMs - lease.closeMs), lease.closeMs + hourMs);
  }
  lease.settled = settled;
  return charged;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
