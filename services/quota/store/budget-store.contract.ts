import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { BudgetStore, LeaseSync, LeaseSyncResult } from "./store.ts";

/** Two processes' stores of the same budgets. */
export interface BudgetStoreFixture {
  readonly a: BudgetStore;
  readonly b: BudgetStore;
  readonly setLimit: (budgetId: string, limit: bigint | undefined) => Promise<void>;
  /** What the store counts for a budget. */
  readonly totals: (budgetId: string) => Promise<{ readonly spent: bigint; readonly leased: bigint }>;
}

const graceMs = 0;

/** Tests what every BudgetStore promises. */
export function testBudgetStore(name: string, open: () => Promise<BudgetStoreFixture>): void {
  const behaves = (what: string, run: (fixture: BudgetStoreFixture, budgetId: string) => Promise<void>): void => {
    test(`${name} ${what}`, async () => {
      const fixture = await open();
      const budgetId = `key:${randomUUID()}`;
      await fixture.setLimit(budgetId, 1_000n);
      await run(fixture, budgetId);
    });
  };

  behaves("grants what is needed, or an eighth of the rest when that is more", async ({ a }, budgetId) => {
    const lease = newLease(budgetId);
    assert.deepEqual(await syncOne(a, { ...lease, need: 10n, minimum: 10n }), synced(125n, 875n));
    assert.deepEqual(await syncOne(a, { ...next(lease, 125n), need: 500n, minimum: 500n }), synced(625n, 375n));
  });

  behaves("takes no more than the maximum of a large budget", async ({ a }, budgetId) => {
    assert.deepEqual(await syncOne(a, { ...newLease(budgetId), need: 1n, maximum: 7n }), synced(7n, 993n));
  });

  behaves("grants the rest when that is at least the minimum, else nothing", async ({ a, b }, budgetId) => {
    await syncOne(a, { ...newLease(budgetId), need: 990n, minimum: 990n });
    const lease = newLease(budgetId);
    assert.deepEqual(await syncOne(b, { ...lease, need: 20n, minimum: 11n }), synced(0n, 10n));
    assert.deepEqual(await syncOne(b, { ...next(lease, 0n), need: 20n, minimum: 10n }), synced(10n, 0n));
  });

  behaves(
    "never grants more than the limit to stores that ask at the same time",
    async ({ a, b, totals }, budgetId) => {
      const asks = Array.from({ length: 40 }, (_, index) =>
        syncOne(index % 2 === 0 ? a : b, { ...newLease(budgetId), need: 100n, minimum: 100n, maximum: 0n }),
      );
      let granted = 0n;
      for (const result of await Promise.all(asks)) {
        granted += result.kind === "synced" ? result.granted : 0n;
      }
      assert.equal(granted, 1_000n);
      assert.deepEqual(await totals(budgetId), { spent: 0n, leased: 1_000n });
    },
  );

  behaves("moves what is spent to the budget once, however often it is told", async ({ a, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n });
    const told = { ...next(lease, 125n), spent: 40n, held: 10n };
    assert.deepEqual(await syncOne(a, told), synced(125n, 875n));
    assert.deepEqual(await syncOne(a, told), { kind: "stale" });
    assert.deepEqual(await totals(budgetId), { spent: 40n, leased: 85n });
    assert.deepEqual((await a.readBudgets([budgetId])).get(budgetId), { spentNanosUsd: 40n, heldNanosUsd: 10n });
  });

  behaves("takes back a grant whose answer was not heard", async ({ a, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n, minimum: 100n });
    assert.deepEqual(await syncOne(a, { ...lease, sequence: 2, need: 100n, minimum: 100n }), synced(125n, 875n));
    assert.deepEqual(await totals(budgetId), { spent: 0n, leased: 125n });
  });

  behaves("ignores a synchronisation that a later one has overtaken", async ({ a, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, sequence: 2, need: 100n });
    assert.deepEqual(await syncOne(a, { ...lease, sequence: 1, need: 100n }), { kind: "stale" });
    assert.deepEqual(await totals(budgetId), { spent: 0n, leased: 125n });
  });

  behaves("covers what was spent beyond the grant, even beyond the limit", async ({ a, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n });
    assert.deepEqual(await syncOne(a, { ...next(lease, 125n), spent: 1_200n, held: 5n }), synced(1_205n, -205n));
    assert.deepEqual(await totals(budgetId), { spent: 1_200n, leased: 5n });
    assert.deepEqual(await syncOne(a, { ...newLease(budgetId), need: 1n, minimum: 0n }), synced(0n, -205n));
  });

  behaves(
    "returns what was not spent when a lease is closed, and knows the lease no more",
    async ({ a, totals }, budgetId) => {
      const lease = newLease(budgetId);
      await syncOne(a, { ...lease, need: 100n });
      assert.deepEqual(await syncOne(a, { ...next(lease, 125n), spent: 25n, close: true }), synced(25n, 975n));
      assert.deepEqual(await totals(budgetId), { spent: 25n, leased: 0n });
      assert.deepEqual(await syncOne(a, { ...next(lease, 125n), sequence: 3 }), { kind: "lost" });
    },
  );

  behaves("opens a lease without an amount on an empty budget", async ({ a, setLimit }, budgetId) => {
    await setLimit(budgetId, 0n);
    const lease = newLease(budgetId);
    assert.deepEqual(await syncOne(a, { ...lease, need: 0n }), synced(0n, 0n));
    assert.deepEqual(await syncOne(a, { ...next(lease, 0n), need: 1n, minimum: 1n }), synced(0n, 0n));
  });

  behaves("calls a lease of an unknown budget lost", async ({ a }) => {
    assert.deepEqual(await syncOne(a, { ...newLease("key:nobody"), need: 1n }), { kind: "lost" });
  });

  behaves("leaves the lease of a living holder alone", async ({ a, b, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n });
    assert.equal((await b.leasesToReconcile(graceMs, 10_000)).includes(lease.leaseId), false);
    assert.equal(await b.reconcileLease(lease.leaseId, 50n, graceMs), 0n);
    assert.deepEqual(await totals(budgetId), { spent: 0n, leased: 125n });
  });

  behaves(
    "charges a dead holder's lease what the ledger knows and returns the rest",
    async ({ a, b, totals }, budgetId) => {
      const lease = newLease(budgetId);
      await syncOne(a, { ...lease, need: 100n });
      await syncOne(a, { ...next(lease, 125n), spent: 20n, held: 30n });
      await a.expireLeases();
      assert.equal((await b.leasesToReconcile(graceMs, 10_000)).includes(lease.leaseId), true);
      assert.equal(await b.reconcileLease(lease.leaseId, 60n, graceMs), 40n);
      assert.deepEqual(await totals(budgetId), { spent: 60n, leased: 0n });
      assert.deepEqual(await syncOne(a, { ...next(lease, 125n), sequence: 3 }), { kind: "lost" });
    },
  );

  behaves("charges a closed lease what the ledger learns later, once", async ({ a, b, totals }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n });
    await a.expireLeases();
    await b.reconcileLease(lease.leaseId, 10n, graceMs);
    assert.equal(await b.reconcileLease(lease.leaseId, 70n, graceMs), 60n);
    assert.equal(await a.reconcileLease(lease.leaseId, 70n, graceMs), 0n);
    assert.equal(await a.reconcileLease(lease.leaseId, 30n, graceMs), 0n);
    assert.deepEqual(await totals(budgetId), { spent: 70n, leased: 0n });
  });

  behaves(
    "keeps a forwarded settlement for the holder of its lease until it is applied",
    async ({ a, b }, budgetId) => {
      const lease = newLease(budgetId);
      await syncOne(a, { ...lease, need: 100n });
      const settlement = {
        requestId: randomUUID(),
        keyId: "k",
        leaseIds: [lease.leaseId],
        costNanosUsd: 7n,
        providerCosts: { p: 3n },
        tokens: 3n,
      };
      await b.forwardSettlement(settlement);
      await b.forwardSettlement(settlement);
      assert.deepEqual(await b.takeForwarded([settlement.requestId]), []);
      assert.deepEqual(await a.takeForwarded([]), [settlement]);
      assert.deepEqual(await a.takeForwarded(["another"]), [settlement]);
      assert.deepEqual(await a.takeForwarded([settlement.requestId]), []);
      assert.deepEqual(await a.takeForwarded([]), []);
    },
  );

  behaves("drops a forwarded settlement of a closed or unknown lease", async ({ a, b }, budgetId) => {
    const lease = newLease(budgetId);
    await syncOne(a, { ...lease, need: 100n });
    await syncOne(a, { ...next(lease, 125n), close: true });
    await b.forwardSettlement({
      requestId: "r",
      keyId: "k",
      leaseIds: [lease.leaseId],
      costNanosUsd: 7n,
      providerCosts: { p: 3n },
      tokens: 3n,
    });
    await b.forwardSettlement({
      requestId: "r",
      keyId: "k",
      leaseIds: ["not an id"],
      costNanosUsd: 7n,
      providerCosts: {},
      tokens: 3n,
    });
    assert.deepEqual(await a.takeForwarded([]), []);
  });
}

function newLease(budgetId: string): LeaseSync {
  return {
    leaseId: randomUUID(),
    limit: undefined,
    budgetId,
    isNew: true,
    sequence: 1,
    granted: 0n,
    spent: 0n,
    held: 0n,
    need: 0n,
    minimum: 0n,
    maximum: 1_000_000n,
    close: false,
  };
}

function next(lease: LeaseSync, granted: bigint): LeaseSync {
  return { ...lease, isNew: false, sequence: lease.sequence + 1, granted };
}

function synced(granted: bigint, room: bigint): LeaseSyncResult {
  return { kind: "synced", granted, room, extra: 0n, spent: 0n };
}

async function syncOne(store: BudgetStore, sync: LeaseSync): Promise<LeaseSyncResult> {
  const [result] = await store.syncLeases([sync]);
  assert.ok(result !== undefined);
  // What is spent is told as it was at some moment of the call.
  return result.kind === "synced" ? { ...result, spent: 0n } : result;
}
