import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { KeyFeed } from "./key-feed.ts";
import { createQuotaService } from "./service.ts";
import { createTestQuota, testKey } from "./testing.ts";

const { directory } = createTestQuota().quota;
const record = (id: string) =>
  directory.recordOf({
    key: { ...testKey({ id }), revokeTimeMs: undefined, disableTimeMs: undefined, previous: undefined, revision: 1n },
    found: undefined,
  });

test("says complete with the last of what was there at the start, even when that is nothing", async () => {
  const empty = new KeyFeed([], 10, () => undefined);
  assert.deepEqual(await ids(empty), { ids: [], complete: true });
  const many = Array.from({ length: 501 }, (_, index) => record(`key ${index}`));
  const feed = new KeyFeed(many, 10, () => undefined);
  assert.equal((await ids(feed)).complete, false);
  assert.deepEqual(await ids(feed), { ids: ["key 500"], complete: true });
});

test("hands over a change to whoever waits, and keeps it for who does not", async () => {
  const feed = new KeyFeed([], 10, () => undefined);
  await feed.next();
  const waiting = ids(feed);
  feed.push(record("a"));
  feed.push(record("b"));
  feed.push(record("c"));
  assert.deepEqual((await waiting).ids, ["a"]);
  assert.deepEqual((await ids(feed)).ids, ["b", "c"]);
});

test("ends with UNAVAILABLE for a caller that falls behind", async () => {
  let ended = 0;
  const feed = new KeyFeed([record("start")], 2, () => {
    ended += 1;
  });
  feed.push(record("a"));
  feed.push(record("b"));
  feed.push(record("c"));
  assert.equal(ended, 1);
  await assert.rejects(feed.next(), (error) => error instanceof ConnectError && error.code === Code.Unavailable);
});

test("does not count what was read against a caller", async () => {
  const feed = new KeyFeed([record("start")], 2, () => undefined);
  for (let index = 0; index < 100; index += 1) {
    feed.push(record(`key ${index}`));
    await feed.next();
  }
});

test("ends at once when the caller leaves, while it waits or not, and is forgotten", async () => {
  for (const how of ["leaves", "aborts"] as const) {
    const { quota, keys, clock } = createTestQuota();
    const mesh = createMesh({ addresses: { resolve: () => undefined } });
    mesh.serve(QuotaService, createQuotaService({ quota, keys, now: () => clock.nowMs }));
    const controller = new AbortController();
    const stream = mesh.client(QuotaService).watchKeys({}, { signal: controller.signal })[Symbol.asyncIterator]();
    await stream.next();
    assert.equal(quota.watchers, 1);
    const waiting = stream.next();
    if (how === "leaves") {
      await stream.return?.();
      assert.equal((await waiting).done, true);
    } else {
      controller.abort();
      await assert.rejects(waiting);
    }
    assert.equal(quota.watchers, 0);
    quota.directory.put(await keys.insertKey(testKey({})));
  }
});

async function ids(feed: KeyFeed): Promise<{ readonly ids: readonly string[]; readonly complete: boolean }> {
  const { value } = await feed.next();
  return { ids: value?.keys.map((key: { readonly id: string }) => key.id) ?? [], complete: value?.complete ?? false };
}
