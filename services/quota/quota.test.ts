import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { Quota, type QuotaOutcome } from "./quota.ts";
import { limitsConfig, rulesOfConfig } from "./limits/limits-config.ts";
import { createPostgresBudgetStore } from "./store/postgres-budgets.ts";
import { createPostgresKeyStore } from "./store/postgres-keys.ts";
import type { NewKey } from "./store/store.ts";
import { testKey, testOptions } from "./testing.ts";

const cent = 10_000_000n;
const dollar = 100n * cent;

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "quota test" });
await migrate(pool, { service: "quota", directory: new URL("./migrations/", import.meta.url) });
const keys = createPostgresKeyStore({ pool });
after(async () => {
  await pool.end();
  await postgres.close();
});

test("500 requests of a cent at once on a dollar: exactly 100 are held", async () => {
  const quota = openQuota();
  const key = testKey({ budgetNanosUsd: dollar });
  const outcomes = await reserveAtOnce([quota], key, 500);
  assert.deepEqual(count(outcomes), { held: 100, exhausted: 400 });
  settleAll(quota, key, outcomes, cent);
  await quota.tick();
  assert.deepEqual(await totals(key), { spent: dollar, leased: 0n });
});

test("500 requests of a cent at once over two processes on a dollar: exactly 100 are held", async () => {
  const key = testKey({ budgetNanosUsd: dollar });
  const quotas = [openQuota(), openQuota()];
  const outcomes = await reserveAtOnce(quotas, key, 500);
  assert.deepEqual(count(outcomes), { held: 100, exhausted: 400 });
});

test("what is settled below its hold can be held again, to the last nano-dollar", async () => {
  const quota = openQuota();
  const key = testKey({ budgetNanosUsd: dollar });
  let held = 0;
  for (let round = 0; round < 10; round += 1) {
    const outcomes = await reserveAtOnce([quota], key, 150);
    held += count(outcomes)["held"] ?? 0;
    settleAll(quota, key, outcomes, cent / 2n);
  }
  await quota.tick();
  const { spent } = await totals(key);
  assert.equal(spent, BigInt(held) * (cent / 2n));
  assert.ok(dollar - spent < cent, "less than one hold is left");
  assert.ok(spent <= dollar);
});

test("a settlement sent to another process reaches the one that holds the lease", async () => {
  const [holder, other] = [openQuota(), openQuota()];
  const key = testKey({ budgetNanosUsd: dollar });
  const [outcome] = await reserveAtOnce([holder], key, 1);
  assert.ok(outcome?.kind === "held");
  other.directory.put(await storedKey(key));
  const { requestId, parts } = outcome.hold;
  const leaseIds = parts.map(({ slice }) => slice.leaseId);
  for (let repeat = 0; repeat < 2; repeat += 1) {
    await other.settle({ requestId, leaseIds, keyId: key.id, cost: 3n, providerCosts: {}, tokens: 0 });
  }
  assert.equal(holder.reservations.size, 1);
  await holder.tick();
  assert.equal(holder.reservations.size, 0);
  await holder.tick();
  assert.equal((await totals(key)).spent, 3n);
});

test("a process that stops gives back everything that it does not hold", async () => {
  const quota = openQuota();
  const key = testKey({ budgetNanosUsd: dollar });
  const outcomes = await reserveAtOnce([quota], key, 3);
  settleAll(quota, key, outcomes.slice(0, 2), cent);
  await quota.keeper.stop();
  assert.deepEqual(await totals(key), { spent: 2n * cent, leased: cent });
});

for (const scope of ["key", "team", "organization"] as const) {
  test(`1,000 requests of a cent at once over two processes on a dollar of the ${scope}: exactly 100 are held`, async () => {
    const key = testKey({ teamId: randomUUID(), organizationId: randomUUID() });
    const rules = rulesOfConfig(
      limitsConfig.parse([
        { scope: { key: "each" }, budget: scope === "key" ? "$1" : "$500" },
        { scope: { team: "each" }, budget: scope === "team" ? "$1" : "$500", window: "month", zone: "Europe/Berlin" },
        { scope: { organization: "each" }, budget: scope === "organization" ? "$1" : "$500", window: "day" },
      ]),
    );
    const quotas = [openQuota(), openQuota()];
    for (const quota of quotas) {
      quota.setRules(rules);
    }
    const outcomes = await reserveAtOnce(quotas, key, 1_000);
    assert.deepEqual(count(outcomes), { held: 100, exhausted: 900 });
    const scopes = outcomes.flatMap((outcome) => (outcome.kind === "exhausted" ? outcome.budget?.label.scope : []));
    assert.deepEqual([...new Set(scopes)], [scope]);
    for (const [index, quota] of quotas.entries()) {
      settleAll(
        quota,
        key,
        outcomes.filter((_, place) => place % 2 === index),
        cent,
      );
      await quota.keeper.stop();
    }
    const { rows } = await pool.query<{ spent: bigint; leased: bigint }>(
      "SELECT spent_nanos AS spent, leased_nanos AS leased FROM quota.budgets WHERE id LIKE '%' || $1 || '%' OR id LIKE '%' || $2 || '%' OR id LIKE '%' || $3 || '%'",
      [key.id, key.teamId, key.organizationId],
    );
    assert.deepEqual(rows, Array(3).fill({ spent: dollar, leased: 0n }));
  });
}

test("a hold grows in all its budgets or in none", async () => {
  const quota = openQuota();
  const key = testKey({ budgetNanosUsd: dollar, teamId: randomUUID() });
  quota.setRules(rulesOfConfig(limitsConfig.parse([{ scope: { team: "each" }, budget: "$0.50" }])));
  const [outcome] = await reserveAtOnce([quota], key, 1);
  assert.ok(outcome?.kind === "held");
  const { requestId, parts } = outcome.hold;
  const grown = await quota.extend(requestId, 40n * cent);
  assert.ok(grown.kind === "held");
  const refused = await quota.extend(requestId, 60n * cent);
  assert.ok(refused.kind === "exhausted" && refused.budget?.label.scope === "team");
  assert.deepEqual(
    parts.map(({ slice }) => slice.held),
    [40n * cent, 40n * cent],
  );
  assert.equal((await quota.extend("unknown", 1n)).kind, "unknown");
});

function openQuota(): Quota {
  return new Quota({
    budgets: createPostgresBudgetStore({ pool, holder: randomUUID(), leaseTtlMs: 30_000 }),
    keys,
    now: () => performance.now(),
    wallClock: Date.now,
    newId: randomUUID,
    options: testOptions,
    onError: assert.ifError,
  });
}

const noFacts = { tags: {}, model: "", providers: [] };

async function storedKey(key: NewKey) {
  return (await keys.getKey(key.id)) ?? (await keys.insertKey(key));
}

async function reserveAtOnce(quotas: readonly Quota[], key: NewKey, requests: number): Promise<QuotaOutcome[]> {
  const stored = await storedKey(key);
  const outcomes: Promise<QuotaOutcome>[] = [];
  for (const quota of quotas) {
    quota.directory.put(stored);
  }
  for (let index = 0; index < requests; index += 1) {
    const quota = quotas[index % quotas.length];
    const entry = quota?.directory.get(key.id);
    assert.ok(quota !== undefined && entry !== undefined);
    outcomes.push(
      Promise.resolve(quota.reserve(entry, { requestId: randomUUID(), cost: cent, minimum: cent, tokens: 1 }, noFacts)),
    );
  }
  return Promise.all(outcomes);
}

function settleAll(quota: Quota, key: NewKey, outcomes: readonly QuotaOutcome[], cost: bigint): void {
  for (const outcome of outcomes) {
    if (outcome.kind === "held") {
      const { requestId, parts } = outcome.hold;
      const leaseIds = parts.map(({ slice }) => slice.leaseId);
      assert.equal(quota.settle({ requestId, leaseIds, keyId: key.id, cost, providerCosts: {}, tokens: 1 }), undefined);
    }
  }
}

function count(outcomes: readonly QuotaOutcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes) {
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

async function totals(key: NewKey): Promise<{ readonly spent: bigint; readonly leased: bigint }> {
  const result = await pool.query<{ spent: bigint; leased: bigint }>(
    "SELECT spent_nanos AS spent, leased_nanos AS leased FROM quota.budgets WHERE scope_id = $1",
    [key.id],
  );
  const [row] = result.rows;
  assert.ok(row !== undefined);
  return { ...row };
}
