import assert from "node:assert/strict";
import { after, test } from "node:test";
import type pg from "pg";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { ingestEvents } from "./ingest.ts";
import { createPartitions } from "./store/partitions.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";
import { newEvent } from "./testing.ts";

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "accounting test", max: 16 });
await migrate(pool, { service: "accounting", directory: new URL("./migrations/", import.meta.url) });

after(async () => {
  await pool.end();
  await postgres.close();
});

const replicas = 4;
const batches = 60;
const batchSize = 15;

test(`sums are exact when one transaction in ten fails, with ${replicas} replicas and most events given twice`, async () => {
  const random = seeded(20_261);
  const faults = { injected: 0 };
  const all = Array.from({ length: batches }, (_, batch) =>
    Array.from({ length: batchSize }, (__, at) =>
      newEvent({
        keyId: `key${(batch + at) % 5}`,
        model: `model${at % 3}`,
        costNanosUsd: BigInt(batch * 100 + at),
        final: at % 4 !== 0,
        tags: at % 2 === 0 ? { env: `e${at % 3}`, batch: `${batch % 4}` } : {},
        leaseIds: [`lease${at % 2}`],
      }),
    ),
  );
  await Promise.all(
    Array.from({ length: replicas }, async (_, replica) => {
      const failing = failingPool(pool, random, faults);
      const partitions = createPartitions({ pool, wallClock: Date.now, retentionMs: 90 * 86_400_000 });
      const store = createPostgresLedgerStore({ pool: failing, partitions });
      for (let step = 0; step < batches; step += 1) {
        // Each replica begins elsewhere and turns its batches around, and leaves every fourth to the others.
        const batch = all[(step + replica * 9) % batches] ?? [];
        if (step % 4 !== replica) {
          await untilTaken(() => ingestEvents(store, replica % 2 === 0 ? batch : batch.toReversed()));
        }
      }
    }),
  );
  assert.ok(faults.injected > 15, `${faults.injected} transactions were made to fail`);
  const events = all.flat();
  const cost = events.reduce((sum, event) => sum + event.costNanosUsd, 0n);
  const tagged = events.reduce((sum, event) => sum + event.costNanosUsd * BigInt(Object.keys(event.tags).length), 0n);
  for (const [table, column, expected] of [
    ["attempts", "count(*)", BigInt(events.length)],
    ["attempts", "sum(cost_nanos)", cost],
    ["rollup_hourly", "sum(cost_nanos)", cost],
    ["rollup_daily", "sum(cost_nanos)", cost],
    ["rollup_daily", "sum(attempts)", BigInt(events.length)],
    ["rollup_daily", "sum(requests)", BigInt(events.filter((event) => event.final).length)],
    ["rollup_tag_hourly", "sum(cost_nanos)", tagged],
    ["rollup_tag_daily", "sum(cost_nanos)", tagged],
    ["lease_costs", "sum(cost_nanos)", cost],
    ["dead_letters", "count(*)", 0n],
  ] as const) {
    const result = await pool.query<{ found: bigint }>(`SELECT ${column}::bigint AS found FROM accounting.${table}`);
    assert.equal(result.rows[0]?.found, expected, `${column} of ${table}`);
  }
});

/** A pool of which one transaction in ten fails, before or after it was committed. */
function failingPool(target: pg.Pool, random: () => number, faults: { injected: number }): pg.Pool {
  return new Proxy(target, {
    get(of, name) {
      if (name !== "connect") {
        return Reflect.get(of, name, of);
      }
      return async () => {
        const client = await of.connect();
        if (random() < 0.1) {
          faults.injected += 1;
          failOnce(client, random());
        }
        return client;
      };
    },
  });
}

function failOnce(client: pg.PoolClient, kind: number): void {
  const query = client.query.bind(client);
  const at = kind < 0.25 ? "BEGIN" : "COMMIT";
  client.query = new Proxy(query, {
    apply(run, self, [text, ...rest]) {
      if (text !== at) {
        return Reflect.apply(run, self, [text, ...rest]);
      }
      client.query = query;
      if (kind < 0.5) {
        return Promise.reject(Object.assign(new Error("deadlock detected"), { code: "40P01" }));
      }
      if (kind < 0.75) {
        return Promise.reject(Object.assign(new Error("could not serialize access"), { code: "40001" }));
      }
      // Committed, and nobody hears of it.
      return client.query(text).then(() => Promise.reject(new Error("Connection terminated unexpectedly")));
    },
  });
}

/** As a journal does: what failed is given again. */
async function untilTaken(give: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await give();
      return;
    } catch (error) {
      assert.ok(tries < 20, String(error));
    }
  }
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
