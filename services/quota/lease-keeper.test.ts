import assert from "node:assert/strict";
import { test } from "node:test";
import type { QuotaOptions, QuotaOutcome } from "./quota.ts";
import { MemoryBudgets } from "./store/memory.ts";
import { type BudgetStore, keyBudgetId, type NewKey } from "./store/store.ts";
import { createTestQuota, type TestQuota, testKey } from "./testing.ts";

test("serves from memory for 5 s after the store was last heard of, then refuses", async () => {
  const store = switchableStore();
  const { quota, clock, key } = await open({ budgetNanosUsd: 8_000n }, { refillTimeoutMs: 5 }, store.wrap);
  assert.equal((await reserve(quota, key, "a", 10n)).kind, "held");
  store.state = "down";
  clock.nowMs += 5_000;
  assert.equal((await reserve(quota, key, "b", 10n)).kind, "held");
  clock.nowMs += 1;
  assert.equal((await reserve(quota, key, "c", 10n)).kind, "unavailable");
  store.state = "up";
  clock.nowMs += 500;
  assert.equal((await reserve(quota, key, "c", 10n)).kind, "held");
});

test("refuses after the deadline when the store hangs, and then at once until it is asked again", async () => {
  const store = switchableStore();
  const { quota, clock, key } = await open({ budgetNanosUsd: 8_000n }, { refillTimeoutMs: 5 }, store.wrap);
  store.state = "hung";
  const waiting = ["a", "b", "c"].map((id) => reserve(quota, key, id, 10n));
  assert.deepEqual(
    (await Promise.all(waiting)).map((outcome) => outcome.kind),
    ["unavailable", "unavailable", "unavailable"],
  );
  const { calls } = store;
  assert.equal((await reserve(quota, key, "d", 10n)).kind, "unavailable");
  assert.equal(store.calls, calls);
  store.state = "up";
  clock.nowMs += 500;
  assert.equal((await reserve(quota, key, "d", 10n)).kind, "held");
});

test("takes back what a call granted whose answer never came", async () => {
  const store = switchableStore();
  const test = await open({ budgetNanosUsd: 100n }, { refillTimeoutMs: 5 }, store.wrap);
  store.state = "unheard";
  assert.equal((await reserve(test.quota, test.key, "a", 90n)).kind, "unavailable");
  assert.equal(leased(test), 90n);
  store.state = "up";
  test.clock.nowMs += 500;
  assert.equal((await reserve(test.quota, test.key, "b", 95n)).kind, "held");
  assert.equal(leased(test), 95n);
});

test("keeps what was spent while the store was down, and tells it once", async () => {
  const store = switchableStore();
  const test = await open({ budgetNanosUsd: 8_000n }, { flushTimeoutMs: 5 }, store.wrap);
  await reserve(test.quota, test.key, "a", 100n);
  await settle(test, "a", 70n);
  for (const state of ["down", "hung", "unheard"] as const) {
    store.state = state;
    await assert.rejects(test.quota.tick());
  }
  store.state = "up";
  await test.quota.tick();
  await test.quota.tick();
  assert.equal(test.shared.budgets.get(keyBudgetId(test.key.id))?.spent, 70n);
});

test("gives an unused slice back and takes another when it is needed", async () => {
  const test = await open({ budgetNanosUsd: 8_000n });
  await reserve(test.quota, test.key, "a", 100n);
  test.clock.nowMs += 31_000;
  await test.quota.tick();
  assert.ok(leased(test) > 0n, "what is held keeps the slice");
  await settle(test, "a", 70n);
  await test.quota.tick();
  assert.ok(leased(test) > 0n, "it was used a moment ago");
  test.clock.nowMs += 30_000;
  await test.quota.tick();
  assert.equal(leased(test), 0n);
  assert.equal(test.quota.keeper.openSlices, 0);
  assert.equal((await reserve(test.quota, test.key, "b", 7_930n)).kind, "held");
});

test("does not refuse what the closing of its own slice gives back", async () => {
  const store = switchableStore();
  const test = await open({ budgetNanosUsd: 100n }, {}, store.wrap);
  await reserve(test.quota, test.key, "a", 100n);
  await settle(test, "a", 0n);
  test.clock.nowMs += 30_000;
  const ticking = test.quota.tick();
  const outcome = await reserve(test.quota, test.key, "b", 100n);
  await ticking;
  assert.equal(outcome.kind, "held");
});

test("drops a lease that was taken away, and goes on with another", async () => {
  const test = await open({ budgetNanosUsd: 8_000n });
  const [first] = [await reserve(test.quota, test.key, "a", 100n)];
  assert.ok(first.kind === "held");
  await test.budgets.expireLeases();
  await test.budgets.reconcileLease(leaseOf(first), 100n, 0);
  await test.quota.tick();
  await settle(test, "a", 100n);
  await test.quota.tick();
  const second = await reserve(test.quota, test.key, "b", 100n);
  assert.ok(second.kind === "held" && leaseOf(second) !== leaseOf(first));
  assert.equal(test.shared.budgets.get(keyBudgetId(test.key.id))?.spent, 100n);
});

test("applies a lower limit at once, and a higher one", async () => {
  const test = await open({ budgetNanosUsd: 8_000n });
  await reserve(test.quota, test.key, "a", 100n);
  await change(test, 150n);
  assert.equal((await reserve(test.quota, test.key, "b", 60n)).kind, "exhausted");
  assert.equal((await reserve(test.quota, test.key, "c", 50n)).kind, "held");
  await change(test, 210n);
  assert.equal((await reserve(test.quota, test.key, "d", 60n)).kind, "held");
  await change(test, undefined);
  const free = await reserve(test.quota, test.key, "e", 1_000_000n);
  assert.equal(leaseOf(free), "");
});

test("charges a cost above the hold in full and admits nothing more", async () => {
  const test = await open({ budgetNanosUsd: 100n });
  await reserve(test.quota, test.key, "a", 100n);
  await settle(test, "a", 140n);
  await test.quota.tick();
  assert.equal(test.shared.budgets.get(keyBudgetId(test.key.id))?.spent, 140n);
  assert.equal((await reserve(test.quota, test.key, "b", 1n)).kind, "exhausted");
  assert.equal((await reserve(test.quota, test.key, "c", 0n)).kind, "held");
});

test("holds what is left of a budget when that is enough", async () => {
  const test = await open({ budgetNanosUsd: 100n });
  await reserve(test.quota, test.key, "a", 70n);
  const outcome = await reserve(test.quota, test.key, "b", 500n, 10n);
  assert.equal(outcome.kind === "held" && outcome.hold.amount, 30n);
  assert.equal((await reserve(test.quota, test.key, "c", 500n, 1n)).kind, "exhausted");
});

test("lets no more requests wait than it may", async () => {
  const test = await open({ budgetNanosUsd: 8_000n }, { maxWaiting: 2 });
  const outcomes = ["a", "b", "c"].map((id) => reserve(test.quota, test.key, id, 10n));
  assert.deepEqual(
    (await Promise.all(outcomes)).map((outcome) => outcome.kind),
    ["held", "held", "unavailable"],
  );
});

test("refuses when the budget is gone from the store", async () => {
  const test = await open({ budgetNanosUsd: 8_000n });
  test.shared.budgets.clear();
  assert.equal((await reserve(test.quota, test.key, "a", 10n)).kind, "unavailable");
});

type StoreState = "up" | "down" | "hung" | "unheard";

interface SwitchableStore {
  state: StoreState;
  calls: number;
  readonly wrap: (store: BudgetStore) => BudgetStore;
}

/** A store whose answers can fail, never come, or be lost after the call took effect. */
function switchableStore(): SwitchableStore {
  const self: SwitchableStore = {
    state: "up",
    calls: 0,
    wrap(store) {
      return {
        ...store,
        syncLeases: async (syncs) => {
          self.calls += 1;
          switch (self.state) {
            case "up":
              return store.syncLeases(syncs);
            case "down":
              throw new Error("the store is down");
            case "unheard":
              await store.syncLeases(syncs);
              return new Promise(() => undefined);
            case "hung":
              return new Promise(() => undefined);
          }
        },
      };
    },
  };
  return self;
}

interface OpenQuota extends TestQuota {
  readonly key: NewKey;
}

async function open(
  settings: Partial<NewKey>,
  options: Partial<QuotaOptions> = {},
  wrap: (store: BudgetStore) => BudgetStore = (store) => store,
): Promise<OpenQuota> {
  const test = createTestQuota(options, wrap, new MemoryBudgets());
  const key = testKey(settings);
  test.quota.directory.put(await test.keys.insertKey(key));
  return { ...test, key };
}

async function reserve(
  quota: TestQuota["quota"],
  key: NewKey,
  requestId: string,
  cost: bigint,
  minimum = cost,
): Promise<QuotaOutcome> {
  const entry = quota.directory.get(key.id);
  assert.ok(entry !== undefined);
  return quota.reserve(entry, { requestId, cost, minimum, tokens: 1 }, noFacts);
}

const noFacts = { tags: {}, model: "", providers: [] };

function leaseOf(outcome: QuotaOutcome): string {
  assert.ok(outcome.kind === "held");
  return outcome.hold.parts[0]?.slice.leaseId ?? "";
}

function settle({ quota, key }: OpenQuota, requestId: string, cost: bigint) {
  const leaseId = quota.keeper.account(keyBudgetId(key.id)).slice?.leaseId ?? "gone";
  return quota.settle({ requestId, keyId: key.id, leaseIds: [leaseId], cost, providerCosts: {}, tokens: 1 });
}

function leased({ shared, key }: OpenQuota): bigint {
  return shared.budgets.get(keyBudgetId(key.id))?.leased ?? -1n;
}

async function change({ quota, keys, key }: OpenQuota, budgetNanosUsd: bigint | undefined): Promise<void> {
  const stored = await keys.getKey(key.id);
  assert.ok(stored !== undefined);
  const changed = keys.saveKey({ ...stored, budgetNanosUsd });
  assert.ok(changed !== undefined);
  quota.directory.put(changed);
  await quota.tick();
}
