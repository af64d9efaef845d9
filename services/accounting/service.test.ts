import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { AccountingService, Dimension } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createAccountingModule } from "./module.ts";

const postgres = await startTestPostgres();
const mesh = createMesh({ addresses: { resolve: () => undefined } });
const module = createAccountingModule({ mesh, databaseUrl: await postgres.createDatabase() });
await module.start();
const client = mesh.client(AccountingService);

after(async () => {
  await module.stop();
  await postgres.close();
});

const first = event({
  start: "2026-03-01T10:15:00Z",
  keyId: "a",
  model: "m1",
  costNanosUsd: 5n,
  final: false,
  outcome: Outcome.FAILED,
});
const second = event({
  start: "2026-03-01T10:15:01Z",
  keyId: "a",
  model: "m2",
  costNanosUsd: 50n,
  requestId: first.requestId,
  attemptIndex: 1,
});
const third = event({ start: "2026-03-01T23:59:59.999999Z", keyId: "b", model: "m1", costNanosUsd: 500n });
const fourth = event({
  start: "2026-03-02T00:00:00Z",
  keyId: "b",
  model: "m1",
  costNanosUsd: 0n,
  outcome: Outcome.CACHE_HIT,
  requestedModel: "other",
});
const range = { startTime: at("2026-03-01T00:00:00Z"), endTime: at("2026-03-03T00:00:00Z") };

before(async () => {
  assert.equal((await client.ingest({ events: [first, second, third, fourth] })).inserted, 4n);
});

test("ingests an event again without counting it", async () => {
  assert.equal((await client.ingest({ events: [first] })).inserted, 0n);
});

test("sums everything when nothing is grouped", async () => {
  const { rows } = await client.queryUsage(range);
  assert.equal(rows.length, 1);
  const [row] = rows;
  assert.deepEqual(
    [row?.dimensions, row?.attempts, row?.requests, row?.costNanosUsd, row?.usage?.outputTokens],
    [[], 4n, 3n, 555n, 80n],
  );
});

for (const [name, groupBy, expected] of [
  [
    "key",
    [Dimension.KEY],
    [
      ["b", 500n],
      ["a", 55n],
    ],
  ],
  [
    "model and outcome",
    [Dimension.MODEL, Dimension.OUTCOME],
    [
      ["m1 OUTCOME_SUCCEEDED", 500n],
      ["m2 OUTCOME_SUCCEEDED", 50n],
      ["m1 OUTCOME_FAILED", 5n],
      ["m1 OUTCOME_CACHE_HIT", 0n],
    ],
  ],
  [
    "day",
    [Dimension.DAY],
    [
      ["2026-03-01T00:00:00Z", 555n],
      ["2026-03-02T00:00:00Z", 0n],
    ],
  ],
  [
    "hour",
    [Dimension.HOUR],
    [
      ["2026-03-01T23:00:00Z", 500n],
      ["2026-03-01T10:00:00Z", 55n],
      ["2026-03-02T00:00:00Z", 0n],
    ],
  ],
  [
    "organisation, provider, team and requested model",
    [Dimension.ORGANIZATION, Dimension.PROVIDER, Dimension.TEAM, Dimension.REQUESTED_MODEL],
    [
      ["default p  gpt", 555n],
      ["default p  other", 0n],
    ],
  ],
] as const) {
  test(`groups by ${name}, the most expensive first`, async () => {
    const { rows } = await client.queryUsage({ ...range, groupBy: [...groupBy] });
    assert.deepEqual(
      rows.map((row) => [row.dimensions.join(" "), row.costNanosUsd]),
      expected,
    );
  });
}

test("sums one key's usage, by whole hours", async () => {
  const { rows } = await client.queryUsage({
    startTime: at("2026-03-01T10:59:00Z"),
    endTime: at("2026-03-01T10:59:01Z"),
    filter: { keyId: "a" },
  });
  assert.equal(rows[0]?.costNanosUsd, 55n);
  const other = await client.queryUsage({ ...range, filter: { keyId: "nobody" }, groupBy: [Dimension.KEY] });
  assert.deepEqual(other.rows, []);
});

test("lists the last event of each request, newest first, page by page", async () => {
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listRequests({ pageSize: 2, pageToken });
    seen.push(...page.requests.map((request) => request.attemptId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(seen, [fourth.attemptId, third.attemptId, second.attemptId]);
});

test("lists one key's, outcome's or model's requests", async () => {
  const ids = async (query: Parameters<typeof client.listRequests>[0]) =>
    (await client.listRequests(query)).requests.map((request) => request.attemptId);
  assert.deepEqual(await ids({ filter: { keyId: "a" } }), [second.attemptId]);
  assert.deepEqual(await ids({ filter: { outcome: Outcome.CACHE_HIT } }), [fourth.attemptId]);
  assert.deepEqual(await ids({ filter: { requestedModel: "other" } }), [fourth.attemptId]);
  assert.deepEqual(await ids({ filter: { keyId: "a", requestedModel: "other" } }), []);
});

test("returns a request with its attempts in order and their cost", async () => {
  const { attempts, costNanosUsd } = await client.getRequest({ requestId: first.requestId });
  assert.deepEqual(attempts, [first, second]);
  assert.equal(costNanosUsd, 55n);
});

test("sums leases, and those it does not know as 0", async () => {
  const lease = randomUUID();
  await client.ingest({ events: [event({ start: "2026-04-01T00:00:00Z", leaseIds: [lease], costNanosUsd: 9n })] });
  assert.deepEqual((await client.sumLeases({ leaseIds: [lease, "unknown"] })).costNanosUsd, {
    [lease]: 9n,
    unknown: 0n,
  });
});

for (const [name, call, code] of [
  ["an unknown grouping", () => client.queryUsage({ groupBy: [Dimension.UNSPECIFIED] }), Code.InvalidArgument],
  [
    "a dimension named twice",
    () => client.queryUsage({ groupBy: [Dimension.KEY, Dimension.KEY] }),
    Code.InvalidArgument,
  ],
  [
    "an empty range",
    () => client.queryUsage({ startTime: range.endTime, endTime: range.startTime }),
    Code.InvalidArgument,
  ],
  [
    "a range of 367 days",
    () => client.queryUsage({ startTime: at("2025-01-01T00:00:00Z"), endTime: at("2026-01-03T00:00:00Z") }),
    Code.InvalidArgument,
  ],
  ["a page token that is not ours", () => client.listRequests({ pageToken: "Zm9v" }), Code.InvalidArgument],
  ["a page that is too large", () => client.listRequests({ pageSize: 1_001 }), Code.InvalidArgument],
  ["a filter that is no text", () => client.listRequests({ filter: { keyId: "a\0" } }), Code.InvalidArgument],
  ["a request that does not exist", () => client.getRequest({ requestId: "nothing" }), Code.NotFound],
  [
    "too many leases",
    () => client.sumLeases({ leaseIds: Array.from({ length: 1_001 }, String) }),
    Code.InvalidArgument,
  ],
] as const) {
  test(`refuses ${name}`, async () => {
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === code);
  });
}

type EventInit = Exclude<MessageInitShape<typeof UsageEventSchema>, UsageEvent>;

function event({ start, ...settings }: EventInit & { readonly start: string }): UsageEvent {
  // Date has milliseconds; the fraction beyond them is put in by hand.
  const micros = Number(/\.\d{3}(\d{3})Z$/.exec(start)?.[1] ?? 0);
  const startTime = at(start.replace(/\d{3}Z$/, (digits) => (micros > 0 ? "Z" : digits)));
  return create(UsageEventSchema, {
    attemptId: randomUUID(),
    requestId: randomUUID(),
    organizationId: "default",
    keyId: "key",
    requestedModel: "gpt",
    provider: "p",
    model: "m",
    outcome: Outcome.SUCCEEDED,
    usage: { outputTokens: 20n },
    final: true,
    ...settings,
    startTime: { ...startTime, nanos: startTime.nanos + micros * 1_000 },
  });
}

function at(time: string) {
  return timestampFromDate(new Date(time));
}
