import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemoryBudgets } from "../store/memory.ts";
import type { BudgetStore } from "../store/store.ts";
import { simulate, type SimulationResult } from "./simulate.ts";

const steps = 1_000;
// These compute and wait for nothing, but a machine may be busy with others.
const timeout = 600_000;

test("40 runs of 1,000 steps break no rule of money", { timeout }, async () => {
  let admitted = 0;
  for (let seed = 0; seed < 40; seed += 1) {
    const result = await simulate({ seed, steps });
    admitted += result.admitted;
    assert.equal(result.failure, undefined, `repeat it: npm run simulate -- --seed ${seed} --steps ${steps}`);
  }
  assert.ok(admitted > 40 * 50, `only ${admitted} requests were admitted`);
});

test("a run is the same whenever its seed is", async () => {
  assert.deepEqual(await simulate({ seed: 7, steps: 300 }), await simulate({ seed: 7, steps: 300 }));
  assert.notDeepEqual(await simulate({ seed: 7, steps: 300 }), await simulate({ seed: 8, steps: 300 }));
});

for (const [bug, wrapStore] of Object.entries({
  "lets an old synchronisation overtake a later one": forgetSequences,
  "returns the budget of dead processes without a look at the ledger": forgetLedger,
  "grants a little more than it takes down": grantTwice,
})) {
  test(`a store that ${bug} is found, and its seed shows it again`, { timeout }, async () => {
    let found: SimulationResult | undefined;
    for (let seed = 0; found?.failure === undefined && seed < 60; seed += 1) {
      found = await simulate({ seed, steps, wrapStore });
    }
    assert.ok(found?.failure !== undefined, "60 runs did not find it");
    assert.match(found.failure.message, /^BrokenInvariant: /);
    assert.deepEqual(await simulate({ seed: found.seed, steps, wrapStore }), found);
  });
}

function forgetSequences(store: BudgetStore, shared: MemoryBudgets): BudgetStore {
  return {
    ...store,
    syncLeases(syncs) {
      for (const { leaseId } of syncs) {
        const lease = shared.leases.get(leaseId);
        if (lease !== undefined) {
          lease.sequence = 0;
        }
      }
      return store.syncLeases(syncs);
    },
  };
}

function forgetLedger(store: BudgetStore): BudgetStore {
  return { ...store, reconcileLease: (leaseId, _ledger, graceMs) => store.reconcileLease(leaseId, 0n, graceMs) };
}

function grantTwice(store: BudgetStore): BudgetStore {
  return {
    ...store,
    async syncLeases(syncs) {
      const results = await store.syncLeases(syncs);
      return results.map((result, index) =>
        result.kind === "synced" && (syncs[index]?.need ?? 0n) > 0n
          ? { ...result, granted: result.granted + 1n }
          : result,
      );
    },
  };
}
