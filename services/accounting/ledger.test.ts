import assert from "node:assert/strict";
import { randomUUID, randomUUIDv7 } from "node:crypto";
import { after, beforeEach, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { ingestEvents } from "./ingest.ts";
import { createPartitions } from "./store/partitions.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";
import { wholeLedger } from "./store/store.ts";

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "accounting test" });
await migrate(pool, { service: "accounting", directory: new URL("./migrations/", import.meta.url) });
const partitions = createPartitions({ pool, wallClock: Date.now, retentionMs: 90 * 86_400_000 });
await partitions.maintain();
const store = createPostgresLedgerStore({ pool, partitions });
const baseSeconds = 1_750_000_000n;
const tagged =
  "accounting.attempts, LATERAL (SELECT key AS tag_name, value AS tag_value FROM jsonb_each_text(tags)) AS t";

beforeEach(async () => {
  await pool.query(`TRUNCATE accounting.attempts, accounting.rollup_hourly, accounting.rollup_daily, accounting.rollup_tag_hourly,
      accounting.rollup_tag_daily, accounting.dead_letters`);
});
after(async () => {
  await pool.end();
  await postgres.close();
});

test("gives back every field of an event", async () => {
  const event = newEvent({
    attemptIndex: 2,
    teamId: "team",
    tags: { feature: "search", 'quo"te\\': "new\nline ü 🌊" },
    stream: true,
    errorReason: ErrorReason.UPSTREAM_TIMEOUT,
    httpStatus: 504,
    usage: {
      uncachedInputTokens: 1n,
      cacheReadTokens: 2n,
      cacheWriteTokens: 3n,
      outputTokens: 4n,
      reasoningTokens: 5n,
      cacheWrite1hTokens: 6n,
      audioInputTokens: 7n,
      audioOutputTokens: 8n,
      estimated: true,
    },
    costNanosUsd: 9_000_000_000_000_000_001n,
    priceSource: "catalogue",
    leaseIds: [randomUUID(), randomUUID()],
    finishReason: FinishReason.LENGTH,
    providerRequestId: "req_1",
    startTime: { seconds: baseSeconds, nanos: 123_456_000 },
    firstTokenLatency: { seconds: 0n, nanos: 250_000_000 },
    totalLatency: { seconds: 3n, nanos: 1_000 },
  });
  assert.deepEqual(await ingestEvents(store, [event]), { inserted: 1, buried: 0 });
  assert.deepEqual(await attemptsOf(event.requestId), [event]);
});

test("gives back an event that sets no more than it must", async () => {
  const event = create(UsageEventSchema, {
    attemptId: randomUUID(),
    requestId: randomUUID(),
    outcome: Outcome.FAILED,
    startTime: { seconds: baseSeconds },
    usage: {},
  });
  await ingestEvents(store, [event]);
  assert.deepEqual(await attemptsOf(event.requestId), [event]);
});

test("counts an event once, within a batch and over batches", async () => {
  const event = newEvent({ costNanosUsd: 5n });
  assert.deepEqual(await ingestEvents(store, [event, event]), { inserted: 1, buried: 0 });
  assert.deepEqual(await ingestEvents(store, [event, newEvent({ costNanosUsd: 7n })]), { inserted: 1, buried: 0 });
  assert.equal(await totalCost(), 12n);
  await assertRollupsAreExact();
});

test("counts an event once when four ingest overlapping batches of one key at the same time", async () => {
  const events = Array.from({ length: 400 }, (_, index) =>
    newEvent({
      model: `m${index % 3}`,
      provider: `p${index % 2}`,
      costNanosUsd: BigInt(index),
      final: index % 4 === 0,
      tags: index % 5 === 0 ? {} : { feature: `f${index % 2}`, env: "test" },
    }),
  );
  const runs = Array.from({ length: 4 }, async (_, run) => {
    let inserted = 0;
    for (let round = 0; round < 8; round += 1) {
      const start = ((round + run * 2) % 8) * 50;
      const batch = [...events.slice(start, start + 50), ...events.slice(0, 25)];
      inserted += (await ingestEvents(store, run % 2 === 0 ? batch : batch.toReversed())).inserted;
    }
    return inserted;
  });
  const inserted = await Promise.all(runs);
  assert.equal(
    inserted.reduce((sum, each) => sum + each, 0),
    events.length,
  );
  assert.equal(
    await totalCost(),
    events.reduce((sum, event) => sum + event.costNanosUsd, 0n),
  );
  await assertRollupsAreExact();
});

test("counts an event once when transactions are broken off by deadlocks and lost connections", async () => {
  let calls = 0;
  const failing = createPostgresLedgerStore({
    partitions,
    pool: new Proxy(pool, {
      get(target, name) {
        if (name !== "connect") {
          return Reflect.get(target, name, target);
        }
        return async () => {
          const client = await target.connect();
          calls += 1;
          if (calls % 3 === 1) {
            // The transaction does everything, and at its end is the victim, or is committed and nobody hears of it.
            const isCommitted = calls % 2 === 0;
            const query = client.query.bind(client);
            client.query = new Proxy(query, {
              apply(run, self, [text, ...rest]) {
                if (text !== "COMMIT") {
                  return Reflect.apply(run, self, [text, ...rest]);
                }
                client.query = query;
                return isCommitted
                  ? client.query("COMMIT").then(() => Promise.reject(new Error("Connection terminated unexpectedly")))
                  : Promise.reject(Object.assign(new Error("deadlock detected"), { code: "40P01" }));
              },
            });
          }
          return client;
        };
      },
    }),
  });
  for (let batch = 0; batch < 12; batch += 1) {
    await ingestEvents(failing, [newEvent({ costNanosUsd: 1n }), newEvent({ costNanosUsd: 1n })]);
  }
  assert.ok(calls > 12, "some were done again");
  assert.equal(await totalCost(), 24n);
  await assertRollupsAreExact();
});

test("buries the events that cannot be stored, once, and keeps all others", async () => {
  const good = Array.from({ length: 30 }, () => newEvent({ costNanosUsd: 1n }));
  const bad = [
    newEvent({ attemptId: "no uuid" }),
    newEvent({ outcome: Outcome.UNSPECIFIED }),
    newEvent({ startTime: { seconds: 900_000_000_000_000n } }),
    newEvent({ httpStatus: 0, outcome: 99_999 as Outcome }),
  ];
  const batch = good.toSpliced(3, 0, ...bad.slice(0, 3)).toSpliced(20, 0, ...bad.slice(3));
  assert.deepEqual(await ingestEvents(store, batch), { inserted: 30, buried: 4 });
  assert.deepEqual(await ingestEvents(store, batch), { inserted: 0, buried: 4 });
  const buried = await pool.query<{ error: string; payload: string }>(
    "SELECT error, payload FROM accounting.dead_letters",
  );
  assert.equal(buried.rows.length, 4);
  assert.ok(buried.rows.every((row) => row.error !== "" && row.payload.includes("attemptId")));
  await assertRollupsAreExact();
});

test("stores texts with NUL, lone surrogates and absurd length", async () => {
  const event = newEvent({
    requestedModel: `a\0b\ud800${"x".repeat(100_000)}`,
    model: "🌊".repeat(10_000),
    tags: { "\0": "\udfff" },
    providerRequestId: "\u0001\u001f\u007f\u2028",
  });
  assert.deepEqual(await ingestEvents(store, [event]), { inserted: 1, buried: 0 });
  const [stored] = await attemptsOf(event.requestId);
  assert.equal(stored?.requestedModel.startsWith("a\ufffdb\ufffdxxx"), true);
  assert.equal(stored?.requestedModel.length, 500);
  assert.deepEqual(stored?.tags, { "\ufffd": "\ufffd" });
  assert.equal(stored?.providerRequestId, "\u0001\u001f\u007f\u2028");
});

test("rejects, and buries nothing, when the database refuses for a reason of its own", async () => {
  await pool.query("ALTER TABLE accounting.rollup_hourly RENAME TO rollup_away");
  try {
    await assert.rejects(ingestEvents(store, [newEvent({})]));
  } finally {
    await pool.query("ALTER TABLE accounting.rollup_away RENAME TO rollup_hourly");
  }
  const rows = await pool.query("SELECT 1 FROM accounting.attempts UNION ALL SELECT 1 FROM accounting.dead_letters");
  assert.equal(rows.rows.length, 0);
});

test("sums leases, of all their attempts", async () => {
  const [a, b] = [randomUUID(), randomUUID()];
  await ingestEvents(store, [
    newEvent({ leaseIds: [a], costNanosUsd: 1n, final: false }),
    newEvent({ leaseIds: [a], costNanosUsd: 2n }),
    newEvent({ leaseIds: [b], costNanosUsd: 4n }),
    newEvent({ costNanosUsd: 8n }),
  ]);
  assert.deepEqual(
    await store.sumLeases([a, b, randomUUID(), ""]),
    new Map([
      [a, 3n],
      [b, 4n],
    ]),
  );
});

type EventInit = Exclude<MessageInitShape<typeof UsageEventSchema>, UsageEvent>;

function newEvent(settings: EventInit): UsageEvent {
  return create(UsageEventSchema, {
    attemptId: randomUUIDv7(),
    requestId: randomUUID(),
    keyId: "key",
    organizationId: "default",
    operation: Operation.CHAT,
    dialect: Dialect.OPENAI_CHAT,
    requestedModel: "gpt",
    provider: "openai",
    model: "gpt-4o",
    outcome: Outcome.SUCCEEDED,
    httpStatus: 200,
    usage: { uncachedInputTokens: 10n, outputTokens: 20n },
    startTime: { seconds: baseSeconds },
    final: true,
    ...settings,
  });
}

async function totalCost(): Promise<bigint> {
  const [row] = await store.sumUsage(
    { startTimeMs: 0, endTimeMs: 2_000_001_600_000, groupBy: [], filter: wholeLedger, tagName: "" },
    10,
  );
  return row?.costNanosUsd ?? -1n;
}

async function attemptsOf(requestId: string): Promise<readonly UsageEvent[]> {
  return (await store.getAttempts(requestId)).map(({ event }) => event);
}

async function assertRollupsAreExact(): Promise<void> {
  const names = ["key_id", "team_id", "organization_id", "user_id", "provider", "model", "requested_model", "outcome"];
  const sums = ["uncached_input_tokens", "output_tokens", "cost_nanos"];
  for (const [bucket, rollup, columns, from] of [
    ["hour", "rollup_hourly", names, "accounting.attempts"],
    ["day", "rollup_daily", names, "accounting.attempts"],
    ["hour", "rollup_tag_hourly", [...names, "tag_name", "tag_value"], tagged],
    ["day", "rollup_tag_daily", [...names, "tag_name", "tag_value"], tagged],
  ] as const) {
    const fromRows = await pool.query(
      `SELECT date_trunc('${bucket}', start_time, 'UTC') AS bucket, ${columns.join(", ")}, count(*) AS attempts,
         count(*) FILTER (WHERE final) AS requests, ${sums.map((name) => `sum(${name})::bigint AS ${name}`).join(", ")}
       FROM ${from} GROUP BY bucket, ${columns.join(", ")} ORDER BY bucket, ${columns.join(", ")}`,
    );
    const rolled = await pool.query(
      `SELECT ${bucket} AS bucket, ${columns.join(", ")}, attempts, requests, ${sums.join(", ")}
       FROM accounting.${rollup} ORDER BY bucket, ${columns.join(", ")}`,
    );
    assert.deepEqual(rolled.rows, fromRows.rows, rollup);
  }
}
