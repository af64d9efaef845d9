import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { ingestEvents } from "./ingest.ts";
import { createPartitions } from "./store/partitions.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";
import { newEvent } from "./testing.ts";

const dayMs = 86_400_000;
const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "accounting test" });
await migrate(pool, { service: "accounting", directory: new URL("./migrations/", import.meta.url) });
// A Wednesday.
let nowMs = Date.UTC(2026, 6, 15, 12);
const openLedger = () => {
  const partitions = createPartitions({ pool, wallClock: () => nowMs, retentionMs: 28 * dayMs });
  return { partitions, store: createPostgresLedgerStore({ pool, partitions }) };
};
const { partitions, store } = openLedger();
await partitions.maintain();

after(async () => {
  await pool.end();
  await postgres.close();
});

test("makes this week's partition and the next two ahead of time", async () => {
  assert.deepEqual(await partitionNames(), ["20260713", "20260720", "20260727"]);
});

test("makes the partition of a week that an event needs, and keeps ids without a plausible time apart", async () => {
  const events = [
    eventAt(nowMs),
    eventAt(nowMs - 10 * dayMs),
    eventAt(nowMs + 400 * dayMs),
    newEvent({ attemptId: randomUUID() }),
  ];
  assert.equal((await ingestEvents(store, events)).inserted, 4);
  assert.equal((await ingestEvents(store, events)).inserted, 0);
  assert.deepEqual(await Promise.all(events.map(partitionOf)), ["20260713", "20260629", "other", "other"]);
});

test("counts an event once that was stored before its partition was there", async () => {
  const event = eventAt(nowMs + 40 * dayMs);
  assert.equal((await ingestEvents(store, [event])).inserted, 1);
  assert.equal(await partitionOf(event), "other");
  nowMs += 40 * dayMs;
  // Another process makes the partition; this one knows nothing of it.
  await openLedger().partitions.prepare([event], false);
  assert.equal(await partitionOf(event), "20260824");
  assert.equal((await ingestEvents(store, [event, eventAt(nowMs)])).inserted, 1);
});

test("drops whole weeks after the retention, and never counts again what was dropped", async () => {
  nowMs = Date.UTC(2026, 9, 1);
  const [old, kept] = [eventAt(nowMs - 20 * dayMs), eventAt(nowMs)];
  await ingestEvents(store, [old, kept]);
  nowMs += 20 * dayMs;
  const rollupsBefore = await rolledUp();
  assert.ok((await openLedger().partitions.maintain()).dropped > 0);
  assert.equal(await partitionOf(old), undefined);
  assert.notEqual(await partitionOf(kept), undefined);
  // The first process still believes that the partition is there.
  assert.deepEqual(await ingestEvents(store, [old, kept, eventAt(nowMs)]), { inserted: 1, buried: 1 });
  assert.equal(await rolledUp(), rollupsBefore + 1n);
  const letters = await pool.query<{ error: string }>("SELECT error FROM accounting.dead_letters");
  assert.match(letters.rows[0]?.error ?? "", /older than what the ledger keeps/);
  assert.equal((await openLedger().partitions.maintain()).dropped, 0);
});

test("lets many processes make and drop partitions at once", async () => {
  nowMs += 100 * dayMs;
  const many = Array.from({ length: 4 }, openLedger);
  const events = Array.from({ length: 40 }, (_, index) => eventAt(nowMs - (index % 20) * dayMs));
  await Promise.all(
    many.map(async (each) => {
      await each.partitions.maintain();
      await ingestEvents(each.store, events);
    }),
  );
  const found = await pool.query("SELECT 1 FROM accounting.attempts WHERE attempt_id = ANY($1::uuid[])", [
    events.map((event) => event.attemptId),
  ]);
  assert.equal(found.rowCount, 40);
});

function eventAt(ms: number): UsageEvent {
  const hex = ms.toString(16).padStart(12, "0");
  const attemptId = `${hex.slice(0, 8)}-${hex.slice(8)}-7${randomUUID().slice(15)}`;
  return newEvent({ attemptId, startTime: { seconds: BigInt(Math.floor(ms / 1_000)) } });
}

async function partitionOf(event: UsageEvent): Promise<string | undefined> {
  const result = await pool.query<{ name: string }>(
    "SELECT tableoid::regclass::text AS name FROM accounting.attempts WHERE attempt_id = $1",
    [event.attemptId],
  );
  return result.rows[0]?.name.replace("accounting.attempts_", "");
}

async function partitionNames(): Promise<readonly string[]> {
  const result = await pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
     WHERE inhparent = 'accounting.attempts'::regclass AND relname <> 'attempts_other' ORDER BY relname`,
  );
  return result.rows.map((row) => row.name.replace("attempts_", ""));
}

async function rolledUp(): Promise<bigint> {
  const result = await pool.query<{ attempts: bigint }>(
    "SELECT sum(attempts)::bigint AS attempts FROM accounting.rollup_daily",
  );
  return result.rows[0]?.attempts ?? 0n;
}
