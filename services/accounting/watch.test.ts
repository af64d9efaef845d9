import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { Dimension } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { wholeLedger } from "./store/store.ts";
import { calledBy, newEvent, startTestLedger } from "./testing.ts";
import { LedgerFollower } from "./watch/ledger-follower.ts";
import { openRequestFeed } from "./watch/request-feed.ts";

const started = await startTestLedger();
const { ledger } = started;
const other = await started.startReplica();

after(() => started.close());

test("streams requests that any process commits, once each, and nothing from before", { timeout: 20_000 }, async () => {
  await ledger.ingest({ events: [newEvent()] });
  const stream = ledger.watchRequests({})[Symbol.asyncIterator]();
  assert.deepEqual((await stream.next()).value?.requests, []);
  const events = Array.from({ length: 30 }, () => newEvent());
  const unfinished = newEvent({ final: false });
  await Promise.all(
    events.map((event, index) => (index % 2 === 0 ? ledger : other.ledger).ingest({ events: [event, unfinished] })),
  );
  const seen = await take(stream, 30);
  const last = newEvent();
  await other.ledger.ingest({ events: [last] });
  seen.push(...(await take(stream, 1)));
  assert.deepEqual(
    seen.map((event) => event.attemptId).toSorted(),
    [...events, last].map((event) => event.attemptId).toSorted(),
  );
  await stream.return?.();
});

test("streams what the filter and the scope of the caller allow", { timeout: 20_000 }, async () => {
  const stream = ledger
    .watchRequests({ filter: { tagName: "env" } }, calledBy({ organizationId: "acme", teamId: "blue" }))
    [Symbol.asyncIterator]();
  await stream.next();
  const tags = { env: "prod" };
  const mine = newEvent({ organizationId: "acme", teamId: "blue", tags });
  await ledger.ingest({
    events: [
      newEvent({ organizationId: "acme", teamId: "red", tags }),
      newEvent({ organizationId: "other", teamId: "blue", tags }),
      newEvent({ organizationId: "acme", teamId: "blue" }),
      mine,
    ],
  });
  assert.deepEqual(
    (await take(stream, 1)).map((event) => event.attemptId),
    [mine.attemptId],
  );
  await stream.return?.();
  await assert.rejects(
    async () => {
      for await (const _ of ledger.watchRequests(
        { filter: { organizationId: "other" } },
        calledBy({ organizationId: "acme" }),
      )) {
        assert.fail("another organisation was shown");
      }
    },
    (error) => error instanceof ConnectError && error.code === Code.PermissionDenied,
  );
});

test("ends a caller that reads more slowly than requests come with UNAVAILABLE, and not the others", async () => {
  let position = 0;
  let waiting: readonly UsageEvent[] = [];
  const follower = new LedgerFollower({
    store: {
      readNews: (from) => {
        position += 1;
        const events = from === undefined ? [] : waiting;
        waiting = [];
        return Promise.resolve({ position: String(position), events, isCut: false });
      },
    },
    intervalMs: 1,
    maxEvents: 10_000,
    maxListeners: 2,
    onError: assert.ifError,
  });
  const signal = new AbortController().signal;
  const slow = openRequestFeed(follower, wholeLedger, signal);
  const quick = openRequestFeed(follower, { ...wholeLedger, keyId: "one" }, signal);
  await slow.next();
  await quick.next();
  assert.throws(() => openRequestFeed(follower, wholeLedger, signal), ConnectError);
  waiting = [...Array.from({ length: 3_000 }, () => newEvent()), newEvent({ keyId: "one" })];
  assert.equal((await quick.next()).value?.requests.length, 1);
  await assert.rejects(
    () => slow.next(),
    (error) => error instanceof ConnectError && error.code === Code.Unavailable,
  );
  await follower.stop();
  await assert.rejects(() => quick.next(), ConnectError);
});

test("streams sums when they have changed, of what the caller may see", { timeout: 20_000 }, async () => {
  const scope = calledBy({ organizationId: "spender" });
  const stream = ledger.watchSpend({ groupBy: [Dimension.KEY] }, scope)[Symbol.asyncIterator]();
  assert.deepEqual((await stream.next()).value?.rows, []);
  await other.ledger.ingest({
    events: [
      newEvent({ organizationId: "spender", keyId: "a", costNanosUsd: 5n }),
      newEvent({ organizationId: "default", keyId: "b", costNanosUsd: 7n }),
    ],
  });
  const first = await stream.next();
  assert.ok(first.done !== true);
  assert.deepEqual(
    first.value.rows.map((row) => [row.dimensions, row.costNanosUsd]),
    [[["a"], 5n]],
  );
  await ledger.ingest({ events: [newEvent({ organizationId: "spender", keyId: "a", costNanosUsd: 6n })] });
  assert.equal((await stream.next()).value?.rows[0]?.costNanosUsd, 11n);
  await stream.return?.();
});

test("ends streams when the process drains", { timeout: 20_000 }, async () => {
  const leaving = await started.startReplica();
  const stream = leaving.ledger.watchRequests({})[Symbol.asyncIterator]();
  await stream.next();
  const next = stream.next();
  await leaving.module.drain?.(new AbortController().signal);
  await assert.rejects(next, (error) => error instanceof ConnectError && error.code === Code.Unavailable);
});

async function take(
  stream: AsyncIterator<{ readonly requests: readonly UsageEvent[] }>,
  count: number,
): Promise<UsageEvent[]> {
  const seen: UsageEvent[] = [];
  while (seen.length < count) {
    const next = await stream.next();
    assert.ok(next.done !== true);
    seen.push(...next.value.requests);
  }
  return seen;
}
