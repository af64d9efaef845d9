import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { KeyState } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { digestCredential } from "../key-credential.ts";
import { owner, refused, startAdmin, type TestAdmin } from "./testing.ts";

const postgres = await startTestPostgres();
let admin: TestAdmin;
before(async () => {
  admin = await startAdmin(await postgres.createDatabase());
});
after(async () => {
  await admin.stop();
  await postgres.close();
});

const resolve = (secret: string) => admin.quota.resolveKey({ digest: digestCredential(secret) });

test("after a rotation both secrets are of the key, and the older one ends", async () => {
  const { keys } = admin.as(owner);
  const created = await keys.createKey({});
  const keyId = created.key?.id ?? "";
  const rotated = await keys.rotateKey({ keyId, gracePeriod: { seconds: 60n } });
  assert.ok(rotated.secret.startsWith(`sk-pen-${keyId}-`));
  assert.notEqual(rotated.secret, created.secret);
  const { key } = await resolve(created.secret);
  assert.deepEqual([key?.id, key?.state], [keyId, KeyState.ACTIVE]);
  assert.deepEqual(key?.previousDigest, digestCredential(created.secret));
  assert.deepEqual(key?.previousExpireTime, rotated.key?.previousSecretExpireTime);
  assert.equal((await resolve(rotated.secret)).key?.id, keyId);
  const again = await keys.rotateKey({ keyId });
  await refused(resolve(created.secret), Code.NotFound);
  assert.equal((await resolve(rotated.secret)).key?.id, keyId);
  const last = await keys.rotateKey({ keyId, gracePeriod: { seconds: 0n } });
  await refused(resolve(again.secret), Code.NotFound);
  assert.equal((await resolve(last.secret)).key?.previousDigest.length, 0);
  await refused(keys.rotateKey({ keyId, gracePeriod: { seconds: 31n * 86_400n } }), Code.InvalidArgument);
  await keys.revokeKey({ keyId });
  await refused(keys.rotateKey({ keyId }), Code.InvalidArgument);
});

test("the admin key of the environment is rotated there and nowhere else", async () => {
  const { keys } = admin.as(owner);
  const { keys: all } = await keys.listKeys({});
  const keyId = all.find((key) => key.admin)?.id ?? "";
  await refused(keys.rotateKey({ keyId }), Code.InvalidArgument);
});

test("a disabled key is refused until it is enabled", async () => {
  const { keys } = admin.as(owner);
  const { key, secret } = await keys.createKey({});
  const keyId = key?.id ?? "";
  assert.equal((await keys.disableKey({ keyId })).key?.disabled, true);
  assert.equal((await resolve(secret)).key?.state, KeyState.DISABLED);
  await refused(admin.quota.reserve({ requestId: "disabled", keyId }), Code.NotFound);
  assert.equal((await keys.enableKey({ keyId })).key?.disabled, false);
  assert.equal((await resolve(secret)).key?.state, KeyState.ACTIVE);
  await keys.revokeKey({ keyId });
  await keys.enableKey({ keyId });
  assert.equal((await resolve(secret)).key?.state, KeyState.REVOKED);
});

test("a call with a name makes one key, for each admin key that calls", async () => {
  const { keys } = admin.as(owner);
  const call = { key: { displayName: "once" }, idempotencyKey: "make the key" };
  const first = await keys.createKey(call);
  const second = await keys.createKey(call);
  assert.notEqual(first.secret, "");
  assert.deepEqual([second.key?.id, second.secret], [first.key?.id, ""]);
  const other = await admin.as({ ...owner, keyId: "another" }).keys.createKey(call);
  assert.notEqual(other.key?.id, first.key?.id);
});

test("calls with one name at the same time make one key", async () => {
  const { keys } = admin.as(owner);
  const calls = Array.from({ length: 8 }, () => keys.createKey({ idempotencyKey: "all at once" }));
  const settled = await Promise.allSettled(calls);
  const made = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  assert.equal(new Set(made.map(({ key }) => key?.id)).size, 1);
  assert.equal(made.filter(({ secret }) => secret !== "").length, 1);
  assert.equal(made.length, 8);
});

test("a key without organisation is one of the usual organisation, and moves with its team", async () => {
  const { keys, organizations, teams } = admin.as(owner);
  await organizations.createOrganization({ organization: { id: "acme" } });
  await teams.createTeam({ team: { id: "search", organizationId: "acme" } });
  const { key } = await keys.createKey({});
  assert.equal(key?.organizationId, "default");
  const keyId = key?.id ?? "";
  const moved = await keys.updateKey({ key: { id: keyId, teamId: "search" } });
  assert.deepEqual([moved.key?.organizationId, moved.key?.teamId], ["acme", "search"]);
  const out = await keys.updateKey({ key: { id: keyId } });
  assert.deepEqual([out.key?.organizationId, out.key?.teamId], ["acme", ""]);
  await refused(
    keys.updateKey({ key: { id: keyId, teamId: "search", organizationId: "default" } }),
    Code.InvalidArgument,
  );
  await refused(keys.createKey({ key: { organizationId: "nowhere" } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { userId: "nobody" } }), Code.InvalidArgument);
});

test("lists the keys of one user, and leaves out what was revoked", async () => {
  const { keys, users } = admin.as(owner);
  await users.createUser({ user: { id: "ada", organizationId: "default", email: "ada@example.com" } });
  const kept = await keys.createKey({ key: { userId: "ada" } });
  const gone = await keys.createKey({ key: { userId: "ada" } });
  await keys.revokeKey({ keyId: gone.key?.id ?? "" });
  assert.equal((await keys.listKeys({ userId: "ada" })).keys.length, 2);
  assert.deepEqual(
    (await keys.listKeys({ userId: "ada", hideRevoked: true })).keys.map(({ id }) => id),
    [kept.key?.id],
  );
});
