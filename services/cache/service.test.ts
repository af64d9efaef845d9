import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { CacheEntrySchema, CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { createExactCache, type ExactCacheOptions } from "./exact-cache.ts";
import { createCacheService } from "./service.ts";

const tenantId = "tenant";
const minuteMs = 60_000;

test("gives back an entry to its tenant only", async () => {
  const { client } = open();
  const entry = newEntry("hello");
  await client.store({ tenantId, digest: digest("a"), entry });
  assert.deepEqual((await client.lookup({ tenantId, digest: digest("a") })).entry, entry);
  assert.equal((await client.lookup({ tenantId: "other", digest: digest("a") })).entry, undefined);
  assert.equal((await client.lookup({ tenantId, digest: digest("b") })).entry, undefined);
});

test("keeps its own copy of the body", async () => {
  const { client } = open();
  const body = Buffer.from("large buffer: hello").subarray(14);
  await client.store({ tenantId, digest: digest("a"), entry: newEntry(body) });
  body.fill(0);
  const { entry } = await client.lookup({ tenantId, digest: digest("a") });
  assert.equal(Buffer.from(entry?.body ?? []).toString(), "hello");
  assert.equal(entry?.body.buffer.byteLength, 5);
});

test("keeps the last entry stored", async () => {
  const { client } = open();
  await client.store({ tenantId, digest: digest("a"), entry: newEntry("old") });
  await client.store({ tenantId, digest: digest("a"), entry: newEntry("new") });
  const { entry } = await client.lookup({ tenantId, digest: digest("a") });
  assert.equal(Buffer.from(entry?.body ?? []).toString(), "new");
  assert.equal((await client.invalidate({ tenantId })).entries, 1n);
});

test("forgets an entry after the configured time, or its own", async () => {
  const { client, clock } = open();
  await client.store({ tenantId, digest: digest("a"), entry: newEntry("a") });
  await client.store({ tenantId, digest: digest("b"), entry: newEntry("b"), ttl: { seconds: 1n } });
  clock.nowMs += 1_500;
  assert.equal((await client.lookup({ tenantId, digest: digest("b") })).entry, undefined);
  assert.notEqual((await client.lookup({ tenantId, digest: digest("a") })).entry, undefined);
  clock.nowMs += minuteMs;
  assert.equal((await client.lookup({ tenantId, digest: digest("a") })).entry, undefined);
});

test("makes room by the least recently used entries and stays within its bytes", async () => {
  const { client, cache } = open({ maxBytes: 10_000 });
  for (let index = 0; index < 50; index += 1) {
    await client.store({ tenantId, digest: digest(String(index)), entry: newEntry("x".repeat(1_000)) });
    await client.lookup({ tenantId, digest: digest("0") });
    assert.ok(cache.bytes <= 10_000);
  }
  assert.notEqual((await client.lookup({ tenantId, digest: digest("0") })).entry, undefined);
  assert.notEqual((await client.lookup({ tenantId, digest: digest("49") })).entry, undefined);
  assert.equal((await client.lookup({ tenantId, digest: digest("1") })).entry, undefined);
});

test("forgets all entries of a tenant and no other's", async () => {
  const { client } = open();
  for (const name of ["a", "b", "c"]) {
    await client.store({ tenantId, digest: digest(name), entry: newEntry(name) });
    await client.store({ tenantId: "other", digest: digest(name), entry: newEntry(name) });
  }
  assert.equal((await client.invalidate({ tenantId })).entries, 3n);
  assert.equal((await client.invalidate({ tenantId })).entries, 0n);
  assert.equal((await client.lookup({ tenantId, digest: digest("a") })).entry, undefined);
  assert.notEqual((await client.lookup({ tenantId: "other", digest: digest("a") })).entry, undefined);
});

test("keeps nothing when it is disabled", async () => {
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(CacheService, createCacheService(undefined));
  const client = mesh.client(CacheService);
  await client.store({ tenantId, digest: digest("a"), entry: newEntry("a") });
  assert.equal((await client.lookup({ tenantId, digest: digest("a") })).entry, undefined);
  assert.equal((await client.invalidate({ tenantId })).entries, 0n);
});

for (const [name, request] of [
  ["an entry that is too large", { tenantId, digest: digest("a"), entry: newEntry("x".repeat(5_001)) }],
  ["a store without an entry", { tenantId, digest: digest("a") }],
  ["a store without a tenant", { digest: digest("a"), entry: newEntry("a") }],
  ["a digest of another length", { tenantId, digest: new Uint8Array(31), entry: newEntry("a") }],
  ["a time that is not positive", { tenantId, digest: digest("a"), entry: newEntry("a"), ttl: { seconds: 0n } }],
] as const) {
  test(`refuses ${name}`, async () => {
    const { client } = open();
    await assert.rejects(
      client.store(request),
      (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
    );
  });
}

function open(options: Partial<ExactCacheOptions> = {}) {
  const clock = { nowMs: 1_000_000 };
  const cache = createExactCache(
    { ttlMs: minuteMs, maxBytes: 1_000_000, maxEntryBytes: 5_000, ...options },
    () => clock.nowMs,
  );
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(CacheService, createCacheService(cache));
  return { cache, clock, client: mesh.client(CacheService) };
}

function newEntry(body: string | Buffer) {
  return create(CacheEntrySchema, {
    contentType: "application/json",
    body: typeof body === "string" ? new Uint8Array(Buffer.from(body)) : body,
    provider: "p",
    model: "m",
  });
}

function digest(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text).digest());
}
