import type { BudgetStore } from "./store/store.ts";

/** What the reconciliation works with. */
export interface ReconcileDeps {
  readonly store: BudgetStore;
  /** What the ledger holds for leases, in nano-US-dollars; rejects when it cannot be asked. */
  readonly sumLeases: (leaseIds: readonly string[]) => Promise<ReadonlyMap<string, bigint>>;
  /** How long after its end a lease still belongs to its holder: requests that it admitted may run. */
  readonly graceMs: number;
}

const batch = 200;

/**
 * Settles the leases that no process answers for, and those closed in the last hour, against the ledger. Returns how
 * many it looked at. Rejects when the ledger or the store cannot be asked; nothing is given back then.
 */
export async function reconcileLeases(deps: ReconcileDeps): Promise<number> {
  const leaseIds = await deps.store.leasesToReconcile(deps.graceMs, batch);
  if (leaseIds.length === 0) {
    return 0;
  }
  const sums = await deps.sumLeases(leaseIds);
  for (const leaseId of leaseIds) {
    await deps.store.reconcileLease(leaseId, sums.get(leaseId) ?? 0n, deps.graceMs);
  }
  return leaseIds.length;
}
