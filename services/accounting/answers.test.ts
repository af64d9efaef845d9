import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Dimension, ExportFormat, TimelineKind } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { calledBy, newEvent, startTestLedger } from "./testing.ts";

const hourMs = 3_600_000;
const started = await startTestLedger();
const { ledger, pool } = started;
// Twelve days, begun in the middle of one.
const startMs = Date.UTC(2026, 0, 30, 7, 20);
const range = { startTime: timestampFromMs(startMs), endTime: timestampFromMs(startMs + 12 * 24 * hourMs) };
const events = Array.from({ length: 900 }, (_, index) => {
  const pick = (salt: number, of: number): number => (index * 7_919 + salt * 104_729 + ((index * salt) % 13)) % of;
  return newEvent({
    startTime: timestampFromMs(startMs + Math.floor((index / 900) * 288) * hourMs + pick(1, 3_000_000)),
    organizationId: `o${pick(2, 2)}`,
    teamId: `t${pick(3, 3)}`,
    keyId: `k${pick(4, 7)}`,
    userId: `u${pick(5, 4)}`,
    provider: `p${pick(6, 3)}`,
    model: index % 211 === 0 ? "rare" : `m${pick(7, 4)}`,
    requestedModel: `r${pick(8, 2)}`,
    outcome: index % 97 === 0 ? Outcome.TRUNCATED : index % 10 === 0 ? Outcome.FAILED : Outcome.SUCCEEDED,
    final: index % 10 !== 0,
    costNanosUsd: BigInt(index % 101) * 1_000n,
    tags: index % 3 === 0 ? { env: `e${pick(9, 2)}`, feature: "=cmd()" } : {},
  });
});

before(async () => {
  await ledger.ingest({ events });
});
after(() => started.close());

describe("lists exactly the requests that match, newest first, page by page:", () => {
  for (const [name, filter, more, matches] of [
    ["everything", {}, {}, () => true],
    ["a key", { keyId: "k3" }, {}, (event) => event.keyId === "k3"],
    [
      "an organisation's team",
      { organizationId: "o1", teamId: "t2" },
      {},
      (event) => event.organizationId === "o1" && event.teamId === "t2",
    ],
    ["a user", { userId: "u1" }, {}, (event) => event.userId === "u1"],
    ["a rare model", { model: "rare" }, {}, (event) => event.model === "rare"],
    [
      "a requested model at a provider",
      { requestedModel: "r0", provider: "p2" },
      {},
      (event) => event.requestedModel === "r0" && event.provider === "p2",
    ],
    ["an outcome", { outcome: Outcome.TRUNCATED }, {}, (event) => event.outcome === Outcome.TRUNCATED],
    ["a tag", { tagName: "env" }, {}, (event) => "env" in event.tags],
    ["a tag with a value", { tagName: "env", tagValue: "e1" }, {}, (event) => event.tags["env"] === "e1"],
    ["a least cost", {}, { minCostNanosUsd: 99_000n }, (event) => event.costNanosUsd >= 99_000n],
    [
      "a user within a time",
      { userId: "u2" },
      { startTime: timestampFromMs(startMs + 30 * hourMs + 1), endTime: timestampFromMs(startMs + 200 * hourMs + 7) },
      (event) =>
        event.userId === "u2" && msOf(event) >= startMs + 30 * hourMs + 1 && msOf(event) < startMs + 200 * hourMs + 7,
    ],
    ["nothing", { model: "none" }, {}, () => false],
  ] satisfies readonly (readonly [string, object, object, (event: UsageEvent) => boolean])[]) {
    for (const isSearched of [false, true]) {
      test(`${name}${isSearched ? ", of hours that the rollups name" : ""}`, async () => {
        // Newer rows of somebody else, more than the first look goes through.
        if (isSearched) {
          await fillNewer();
        }
        const wanted = events.filter((event) => event.final && matches(event)).toSorted(compareNewest);
        const found: string[] = [];
        let pageToken = "";
        do {
          const page = await ledger.listRequests({
            pageSize: 37,
            pageToken,
            filter,
            ...more,
          });
          assert.ok(page.requests.length === 37 || page.nextPageToken === "");
          found.push(...page.requests.map((event) => event.attemptId));
          ({ nextPageToken: pageToken } = page);
        } while (pageToken !== "");
        assert.deepEqual(
          found.filter((id) => events.some((event) => event.attemptId === id)),
          wanted.map((event) => event.attemptId),
        );
      });
    }
  }
});

describe("sums the same from days and hours as from rows:", () => {
  for (const [name, groupBy, tagName, keyOf] of [
    ["everything", [], "", () => ""],
    ["by user", [Dimension.USER], "", (event) => event.userId],
    ["by month", [Dimension.MONTH], "", (event) => `${iso(event).slice(0, 7)}-01T00:00:00Z`],
    [
      "by day and team",
      [Dimension.DAY, Dimension.TEAM],
      "",
      (event) => `${iso(event).slice(0, 10)}T00:00:00Z|${event.teamId}`,
    ],
    ["by hour", [Dimension.HOUR], "", (event) => `${iso(event).slice(0, 13)}:00:00Z`],
    ["by tag", [Dimension.TAG], "env", (event) => event.tags["env"]],
    [
      "by tag and model",
      [Dimension.TAG, Dimension.MODEL],
      "env",
      (event) => ("env" in event.tags ? `${event.tags["env"]}|${event.model}` : undefined),
    ],
  ] satisfies readonly (readonly [string, Dimension[], string, (event: UsageEvent) => string | undefined])[]) {
    test(name, async () => {
      for (const filter of [{}, { keyId: "k2" }, { organizationId: "o0", outcome: Outcome.SUCCEEDED }]) {
        const times = {
          startTime: timestampFromMs(startMs + 5 * hourMs),
          endTime: timestampFromMs(startMs + 250 * hourMs),
        };
        const { rows } = await ledger.queryUsage({ ...times, filter, groupBy, tagName });
        const sums = new Map<string, bigint>();
        for (const event of events) {
          const hour = Math.floor(msOf(event) / hourMs) * hourMs;
          const key = keyOf(event);
          const isIn = hour >= startMs + 5 * hourMs - 20 * 60_000 && hour < startMs + 250 * hourMs;
          if (key !== undefined && isIn && matchesFilter(event, filter)) {
            sums.set(key, (sums.get(key) ?? 0n) + event.costNanosUsd);
          }
        }
        const found = rows.map((row) => [row.dimensions.join("|"), row.costNanosUsd] as const);
        assert.deepEqual(new Map(found), sums);
      }
    });
  }
});

test("shows a caller with a scope only what is its own", async () => {
  const scope = calledBy({ organizationId: "o1", teamId: "t1" });
  const { rows } = await ledger.queryUsage({ ...range, groupBy: [Dimension.ORGANIZATION, Dimension.TEAM] }, scope);
  assert.deepEqual(
    rows.map((row) => row.dimensions),
    [["o1", "t1"]],
  );
  const { requests } = await ledger.listRequests({ pageSize: 1_000 }, scope);
  assert.ok(requests.length > 0 && requests.every((event) => event.organizationId === "o1" && event.teamId === "t1"));
  const foreign = events.find((event) => event.organizationId === "o0");
  const calls = [
    [() => ledger.getRequest({ requestId: foreign?.requestId ?? "" }, scope), Code.NotFound],
    [() => ledger.queryUsage({ filter: { organizationId: "o0" } }, scope), Code.PermissionDenied],
    [() => ledger.listRequests({ filter: { teamId: "t0" } }, scope), Code.PermissionDenied],
  ] as const;
  for (const [call, code] of calls) {
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === code);
  }
});

for (const [name, call] of [
  ["grouping by tag without a tag", () => ledger.queryUsage({ groupBy: [Dimension.TAG] })],
  ["a tag that is not grouped by", () => ledger.queryUsage({ tagName: "env" })],
  ["two tags", () => ledger.queryUsage({ groupBy: [Dimension.TAG], tagName: "env", filter: { tagName: "feature" } })],
  ["a value without a tag", () => ledger.listRequests({ filter: { tagValue: "e1" } })],
] as const) {
  test(`refuses ${name}`, async () => {
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === Code.InvalidArgument);
  });
}

test("tells what happened to a request in order of time", async () => {
  const requestId = "timeline";
  const at = timestampFromMs(startMs);
  await ledger.ingest({
    events: [
      newEvent({
        requestId,
        startTime: at,
        final: false,
        outcome: Outcome.FAILED,
        totalLatency: { nanos: 900_000_000 },
      }),
      newEvent({
        requestId,
        attemptIndex: 1,
        startTime: timestampFromMs(startMs + 950),
        firstTokenLatency: { nanos: 200_000_000 },
        totalLatency: { seconds: 2n },
      }),
    ],
  });
  const { timeline } = await ledger.getRequest({ requestId });
  const { ATTEMPT_STARTED, ATTEMPT_ENDED, FIRST_CONTENT, RECORDED } = TimelineKind;
  assert.deepEqual(
    timeline.map((entry) => [
      entry.kind,
      entry.attemptIndex,
      entry.kind === RECORDED ? 0 : timestampMs(entry.time ?? at) - startMs,
    ]),
    [
      [ATTEMPT_STARTED, 0, 0],
      [ATTEMPT_ENDED, 0, 900],
      [ATTEMPT_STARTED, 1, 950],
      [FIRST_CONTENT, 1, 1_150],
      [ATTEMPT_ENDED, 1, 2_950],
      [RECORDED, 0, 0],
      [RECORDED, 1, 0],
    ],
  );
});

test("exports every request once, as JSON lines", async () => {
  const lines = (await exported(ExportFormat.JSON_LINES)).trimEnd().split("\n");
  const ids = lines.map((line) => fromJsonString(UsageEventSchema, line).attemptId);
  const wanted = events.filter((event) => event.final).toSorted(compareNewest);
  assert.deepEqual(
    ids,
    wanted.map((event) => event.attemptId),
  );
});

test("exports CSV in which no text is a formula", async () => {
  const lines = (await exported(ExportFormat.CSV)).split("\r\n");
  const names = lines[0]?.split(",") ?? [];
  assert.equal(lines.length - 2, events.filter((event) => event.final).length);
  const tagged = events.find((event) => event.final && "env" in event.tags);
  const line = lines.find((each) => each.includes(tagged?.attemptId ?? "none"));
  assert.equal(line?.split(",")[names.indexOf("cost_usd")], `0.${String(tagged?.costNanosUsd).padStart(9, "0")}`);
  for (const [text, written] of [
    ["=1+1", "'=1+1"],
    ["@SUM(1)", "'@SUM(1)"],
    ['+"a",b', `"'+""a"",b"`],
    [" -1", "' -1"],
    ["two\r\nlines", '"two\r\nlines"'],
    ["plain", "plain"],
  ] as const) {
    const event = newEvent({ organizationId: "csv", keyId: text });
    await ledger.ingest({ events: [event] });
    const file = await exported(ExportFormat.CSV, { organizationId: "csv", keyId: text }, false);
    assert.ok(file.includes(`,${written},`), `${text} is written as ${written} in ${file}`);
  }
});

async function exported(format: ExportFormat, filter = {}, isPast = true): Promise<string> {
  const pieces: Uint8Array[] = [];
  const times = isPast ? { endTime: range.endTime } : {};
  for await (const piece of ledger.exportRequests({ format, filter, ...times })) {
    pieces.push(piece.data);
  }
  return Buffer.concat(pieces)
    .toString()
    .replaceAll(/^.*timeline.*\r?\n/gm, "");
}

let isFilled = false;

async function fillNewer(): Promise<void> {
  if (isFilled) {
    return;
  }
  isFilled = true;
  const time = timestampFromMs(startMs + 12 * 24 * hourMs + 1);
  for (let part = 0; part < 12; part += 1) {
    await ledger.ingest({
      events: Array.from({ length: 500 }, () =>
        newEvent({ startTime: time, keyId: `newer${part}`, organizationId: "newer", teamId: "newer", userId: "newer" }),
      ),
    });
  }
  await pool.query("ANALYZE accounting.attempts");
}

function matchesFilter(
  event: UsageEvent,
  filter: { keyId?: string; organizationId?: string; outcome?: Outcome },
): boolean {
  return (
    (filter.keyId === undefined || filter.keyId === event.keyId) &&
    (filter.organizationId === undefined || filter.organizationId === event.organizationId) &&
    (filter.outcome === undefined || filter.outcome === event.outcome)
  );
}

function msOf(event: UsageEvent): number {
  return event.startTime === undefined ? 0 : timestampMs(event.startTime);
}

function iso(event: UsageEvent): string {
  return new Date(msOf(event)).toISOString();
}

function compareNewest(a: UsageEvent, b: UsageEvent): number {
  return msOf(b) - msOf(a) || (a.attemptId < b.attemptId ? 1 : -1);
}
