import assert from "node:assert/strict";
import { after, test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { calledBy, newEvent, startTestLedger } from "./testing.ts";

const started = await startTestLedger();
const { ledger, repair, pool } = started;
const startMs = Date.now() - 3_600_000;
const startTime = timestampFromMs(startMs);
const prices = {
  source: "contract 2026",
  inputNanosUsdPerMillion: 2_000_000n,
  outputNanosUsdPerMillion: 10_000_000n,
  requestNanosUsd: 3n,
};

after(() => started.close());

test("lists dead letters page by page, and replays one when it has been repaired", async () => {
  const good = newEvent({ costNanosUsd: 5n });
  await ledger.ingest({
    events: [{ ...good, attemptId: "no uuid" }, newEvent({ outcome: Outcome.UNSPECIFIED }), newEvent()],
  });
  const first = await repair.listDeadLetters({ pageSize: 1 });
  const second = await repair.listDeadLetters({ pageSize: 1, pageToken: first.nextPageToken });
  assert.equal(second.nextPageToken, "");
  const letters = [...first.deadLetters, ...second.deadLetters];
  const broken = letters.find((letter) => letter.payload.includes("no uuid"));
  assert.equal(broken?.error, "attempt_id is not a UUID");
  const id = broken.id;

  const again = await repair.replayDeadLetters({ all: true });
  assert.equal(again.replayed, 0n);
  assert.equal(again.errors[id], "attempt_id is not a UUID");
  const repairedPayloads = { [id]: broken.payload.replace("no uuid", good.attemptId) };
  assert.deepEqual(
    { ...(await repair.replayDeadLetters({ repairedPayloads })), $typeName: "" },
    { replayed: 1n, errors: {}, $typeName: "" },
  );
  assert.equal((await repair.replayDeadLetters({ repairedPayloads })).replayed, 0n);
  assert.equal((await ledger.getRequest({ requestId: good.requestId })).costNanosUsd, 5n);
  assert.equal((await repair.listDeadLetters({})).deadLetters.length, 1);
});

test("replays a dead letter of an event that is in the ledger without counting it again", async () => {
  const event = newEvent({ keyId: "replayed", costNanosUsd: 5n });
  await ledger.ingest({ events: [event, { ...event, attemptId: "still no uuid" }] });
  const letter = (await repair.listDeadLetters({})).deadLetters.find((each) => each.payload.includes("still no uuid"));
  const id = letter?.id ?? "";
  const payload = letter?.payload.replace("still no uuid", event.attemptId) ?? "";
  assert.equal((await repair.replayDeadLetters({ repairedPayloads: { [id]: payload } })).replayed, 1n);
  assert.equal((await ledger.queryUsage({ filter: { keyId: "replayed" } })).rows[0]?.costNanosUsd, 5n);
});

test("recomputes costs, rows and sums alike, and notes what was before", async () => {
  const events = Array.from({ length: 1_200 }, (_, index) =>
    newEvent({
      provider: "wrong",
      model: "priced",
      startTime: timestampFromMs(startMs + index * 1_000),
      keyId: `key${index % 7}`,
      usage: { uncachedInputTokens: BigInt(index), outputTokens: 7n },
      costNanosUsd: BigInt(index % 11),
      priceSource: "",
      tags: index % 2 === 0 ? { env: "prod", feature: `f${index % 5}` } : {},
    }),
  );
  const untouched = [
    newEvent({ provider: "wrong", model: "priced", outcome: Outcome.CACHE_HIT, costNanosUsd: 0n }),
    newEvent({ provider: "wrong", model: "priced", outcome: Outcome.FAILED, usage: {}, costNanosUsd: 0n }),
    newEvent({ provider: "wrong", model: "other", costNanosUsd: 77n }),
    newEvent({ provider: "wrong", model: "priced", startTime: timestampFromMs(startMs - 1), costNanosUsd: 78n }),
  ];
  await ledger.ingest({ events: [...events, ...untouched] });
  const request = { startTime, provider: "wrong", model: "priced", prices, reason: "the price was not known" };
  const expected = events.reduce((sum, { usage }) => {
    const micros = (usage?.uncachedInputTokens ?? 0n) * 2_000_000n + (usage?.outputTokens ?? 0n) * 10_000_000n;
    return sum + (micros + 999_999n) / 1_000_000n + 3n;
  }, 0n);

  const dry = await repair.recomputeCosts({ ...request, dryRun: true });
  assert.deepEqual([dry.changed, dry.newCostNanosUsd], [1_200n, expected]);
  assert.equal(
    await costOf("rows"),
    events.reduce((sum, event) => sum + event.costNanosUsd, 155n),
  );

  // Events that come meanwhile go through the same sums.
  const [done] = await Promise.all([
    repair.recomputeCosts(request, calledBy({ keyId: "who" })),
    ...Array.from({ length: 10 }, () =>
      ledger.ingest({ events: [newEvent({ provider: "wrong", model: "elsewhere", keyId: "key1", costNanosUsd: 1n })] }),
    ),
  ]);
  assert.deepEqual([done.attempts, done.changed, done.newCostNanosUsd], [1_201n, 1_200n, expected]);
  for (const source of ["rows", "rollup_hourly", "rollup_daily"]) {
    assert.equal(await costOf(source), expected + 155n + 10n, source);
  }
  for (const source of ["rollup_tag_hourly", "rollup_tag_daily"]) {
    assert.equal(await costOf(source), await taggedCost(), source);
  }
  assert.equal((await repair.recomputeCosts(request)).changed, 0n);

  const { costChanges, attempts } = await ledger.getRequest({ requestId: events[3]?.requestId ?? "" });
  assert.equal(attempts[0]?.priceSource, "contract 2026");
  assert.deepEqual(
    costChanges.map((each) => [each.oldCostNanosUsd, each.newPriceSource, each.reason, each.actorKeyId]),
    [[3n, "contract 2026", "the price was not known", "who"]],
  );
});

test("takes the prices of the catalogue when none are given", async () => {
  await ledger.ingest({
    events: [newEvent({ provider: "my-openai", model: "gpt-4o", costNanosUsd: 0n, priceSource: "" })],
  });
  const request = { startTime, provider: "my-openai", model: "gpt-4o" };
  const done = await repair.recomputeCosts({ ...request, providerKind: "openai" });
  assert.equal(done.changed, 1n);
  assert.ok(done.newCostNanosUsd > 0n);
});

for (const [name, call, code] of [
  [
    "a caller of one organisation",
    () => repair.listDeadLetters({}, calledBy({ organizationId: "o" })),
    Code.PermissionDenied,
  ],
  ["an editor", () => repair.recomputeCosts({}, calledBy({ role: "editor" })), Code.PermissionDenied],
  ["prices without a source", () => recompute({ prices: {} }), Code.InvalidArgument],
  ["negative prices", () => recompute({ prices: { source: "s", inputNanosUsdPerMillion: -1n } }), Code.InvalidArgument],
  ["a model that the catalogue does not know", () => recompute({ providerKind: "openai" }), Code.InvalidArgument],
  ["ids together with all", () => repair.replayDeadLetters({ all: true, ids: ["0".repeat(64)] }), Code.InvalidArgument],
  ["an id that is none", () => repair.replayDeadLetters({ ids: ["x"] }), Code.InvalidArgument],
] as const) {
  test(`refuses ${name}`, async () => {
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === code);
  });
}

function recompute(settings: object): Promise<unknown> {
  return repair.recomputeCosts({ startTime, provider: "p", model: "nobody-has-this", ...settings });
}

async function costOf(source: string): Promise<bigint> {
  const table = source === "rows" ? "attempts" : source;
  const result = await pool.query<{ cost: bigint }>(
    `SELECT sum(cost_nanos)::bigint AS cost FROM accounting.${table} WHERE provider = 'wrong'`,
  );
  return result.rows[0]?.cost ?? 0n;
}

async function taggedCost(): Promise<bigint> {
  const result = await pool.query<{ cost: bigint }>(
    `SELECT sum(cost_nanos)::bigint AS cost FROM accounting.attempts, jsonb_each_text(tags) WHERE provider = 'wrong'`,
  );
  return result.rows[0]?.cost ?? 0n;
}
