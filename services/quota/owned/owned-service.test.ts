import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import {
  ObjectKind,
  OwnedObjectSchema,
  OwnedObjectService,
  type OwnerSchema,
} from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createOwnedService } from "./owned-service.ts";
import { createPostgresOwnedStore } from "./owned-store.ts";

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "owned test" });
await migrate(pool, { service: "owned", directory: new URL("./migrations/", import.meta.url) });
const store = createPostgresOwnedStore({ pool });
const service = createOwnedService({ store, wallClock: Date.now });
const client = createClient(
  OwnedObjectService,
  createRouterTransport(({ service: serve }) => void serve(OwnedObjectService, service)),
);
after(async () => {
  await pool.end();
  await postgres.close();
});
beforeEach(async () => {
  await pool.query("TRUNCATE owned.objects");
});

const team = { organizationId: "o", teamId: "red", keyId: "k1" };
const colleague = { ...team, keyId: "k2" };
const others: readonly MessageInitShape<typeof OwnerSchema>[] = [
  { ...team, teamId: "blue" },
  { ...team, organizationId: "p" },
  { ...team, teamId: "" },
];

const file = (id: string, more: Omit<MessageInitShape<typeof OwnedObjectSchema>, "$typeName"> = {}) =>
  create(OwnedObjectSchema, {
    id,
    kind: ObjectKind.FILE,
    owner: team,
    provider: "p",
    providerId: `provider-${id}`,
    purpose: "batch",
    descriptionJson: `{"id":"${id}"}`,
    ...more,
  });
const idsOf = (response: { readonly objects: readonly { readonly id: string }[] }): readonly string[] =>
  response.objects.map(({ id }) => id);

test("finds what a colleague of the same team made, and shows nobody else that it exists", async () => {
  await client.putObjects({ objects: [file("a", { itemIds: ["item"] })] });
  const asked = { kind: ObjectKind.FILE, ids: ["a", "unknown"] };
  assert.deepEqual(idsOf(await client.getObjects({ owner: colleague, ...asked })), ["a"]);
  for (const owner of others) {
    assert.deepEqual(idsOf(await client.getObjects({ owner, ...asked })), []);
    assert.deepEqual(idsOf(await client.getObjects({ owner, itemIds: ["item"] })), []);
    const atProvider = { kind: ObjectKind.FILE, provider: "p", providerIds: ["provider-a"] };
    assert.deepEqual(idsOf(await client.getObjects({ owner, ...atProvider })), []);
    assert.deepEqual(idsOf(await client.getObjects({ owner: colleague, ...atProvider })), ["a"]);
    assert.deepEqual(idsOf(await client.listObjects({ owner, kind: ObjectKind.FILE })), []);
    await client.deleteObject({ owner, kind: ObjectKind.FILE, id: "a" });
  }
  assert.deepEqual(idsOf(await client.getObjects({ owner: team, ...asked })), ["a"]);
  assert.deepEqual(idsOf(await client.getObjects({ owner: team, kind: ObjectKind.BATCH, ids: ["a"] })), []);
});

test("keeps what a key without a team made to that key alone", async () => {
  const alone = { organizationId: "o", teamId: "", keyId: "k1" };
  await client.putObjects({ objects: [file("a", { owner: alone })] });
  const asked = { kind: ObjectKind.FILE, ids: ["a"] };
  assert.deepEqual(idsOf(await client.getObjects({ owner: alone, ...asked })), ["a"]);
  assert.deepEqual(idsOf(await client.getObjects({ owner: { ...alone, keyId: "k2" }, ...asked })), []);
});

test("leaves a thing that is known already its id and its owner", async () => {
  await client.putObjects({ objects: [file("a")] });
  const again = file("b", { providerId: "provider-a", descriptionJson: "{}", purpose: "" });
  const { objects } = await client.putObjects({ objects: [again] });
  assert.deepEqual(idsOf({ objects }), ["a"]);
  assert.equal(objects[0]?.descriptionJson, "{}");
  assert.equal(objects[0]?.purpose, "batch");
  for (const owner of others) {
    const stolen = file("c", { providerId: "provider-a", owner });
    assert.deepEqual(idsOf(await client.putObjects({ objects: [stolen] })), []);
  }
});

test("finds a response by one of its items, and the newest of one id", async () => {
  const response = (id: string, provider: string, createdMs: number) =>
    file(id, {
      kind: ObjectKind.RESPONSE,
      provider,
      providerId: id,
      itemIds: ["msg_1"],
      createTime: timestampFromMs(createdMs),
      contextTokens: BigInt(createdMs),
    });
  await client.putObjects({ objects: [response("resp_1", "p", 1_000), response("resp_1", "q", 2_000)] });
  const { objects } = await client.getObjects({ owner: team, itemIds: ["msg_1"] });
  assert.deepEqual(
    objects.map(({ provider, contextTokens }) => [provider, contextTokens]),
    [["q", 2_000n]],
  );
});

test("lists in either order, page by page, files of one purpose alone", async () => {
  await client.putObjects({
    objects: ["a", "b", "c", "d"].map((id, index) =>
      file(id, { createTime: timestampFromMs(index * 1_000), purpose: id === "b" ? "vision" : "batch" }),
    ),
  });
  const asked = { owner: team, kind: ObjectKind.FILE };
  const newest = await client.listObjects({ ...asked, pageSize: 2 });
  assert.deepEqual([idsOf(newest), newest.hasMore], [["d", "c"], true]);
  const rest = await client.listObjects({ ...asked, pageSize: 2, afterId: "c" });
  assert.deepEqual([idsOf(rest), rest.hasMore], [["b", "a"], false]);
  assert.deepEqual(idsOf(await client.listObjects({ ...asked, ascending: true, purpose: "batch" })), ["a", "c", "d"]);
  await assert.rejects(client.listObjects({ ...asked, afterId: "unknown" }), (error) => {
    assert.equal(errorDetailOf(error).reason, ErrorReason.NOT_FOUND);
    return true;
  });
});

test("forgets what was deleted, and what has expired", async () => {
  await client.putObjects({ objects: [file("a"), file("b", { expireTime: timestampFromMs(Date.now() - 1_000) })] });
  assert.deepEqual(idsOf(await client.listObjects({ owner: team, kind: ObjectKind.FILE })), ["a"]);
  assert.equal(await store.deleteExpired(10), 1);
  await client.deleteObject({ owner: team, kind: ObjectKind.FILE, id: "a" });
  assert.equal((await pool.query("SELECT 1 FROM owned.objects")).rowCount, 0);
});

test("refuses what names no owner, and more than it takes at once", async () => {
  const reasonOf = async (call: Promise<unknown>): Promise<ErrorReason> => {
    const error: unknown = await call.then(
      () => undefined,
      (failure: unknown) => failure,
    );
    return errorDetailOf(error).reason;
  };
  const tooMany = Array.from({ length: 1_001 }, String);
  assert.equal(await reasonOf(client.getObjects({ kind: ObjectKind.FILE, ids: ["a"] })), ErrorReason.INVALID_REQUEST);
  assert.equal(
    await reasonOf(client.getObjects({ owner: team, kind: ObjectKind.FILE, ids: tooMany })),
    ErrorReason.INVALID_REQUEST,
  );
  assert.equal(await reasonOf(client.putObjects({ objects: [file("")] })), ErrorReason.INVALID_REQUEST);
});
