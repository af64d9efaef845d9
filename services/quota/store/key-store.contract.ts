import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import type { KeyStore, NewKey } from "./store.ts";

/** Tests what every KeyStore promises. `open` gives an empty store. */
export function testKeyStore(name: string, open: () => Promise<KeyStore>): void {
  test(`${name} gives back every field of a key, by id and by digest`, async () => {
    const store = await open();
    const key = newKey({
      allowedModels: ["gpt-*", "claude"],
      requestsPerMinute: 60n,
      tokensPerMinute: 2_000_000n,
      budgetNanosUsd: 9_000_000_000_000_000_001n / 10n,
      tags: { env: "prod", 'quo"te': "ü" },
      organizationId: "acme",
      teamId: "team",
      userId: "ada",
      serviceAccount: true,
      logBodies: true,
      expireTimeMs: 1_900_000_000_123,
    });
    const stored = { ...key, ...notChanged };
    assert.deepEqual(await store.insertKey(key), stored);
    assert.deepEqual(await store.getKey(key.id), stored);
    assert.deepEqual(await store.findKeyByDigest(key.digest), stored);
    assert.equal(await store.getKey("nobody"), undefined);
    assert.equal(await store.findKeyByDigest(randomBytes(32)), undefined);
  });

  test(`${name} refuses a second key with the same digest`, async () => {
    const store = await open();
    const key = newKey({});
    await store.insertKey(key);
    await assert.rejects(async () => store.insertKey({ ...key, id: "another" }));
  });

  test(`${name} lists keys newest first, page by page, none twice`, async () => {
    const store = await open();
    const made = Array.from({ length: 7 }, (_, index) => newKey({ createTimeMs: 1_700_000_000_000 + (index >> 1) }));
    for (const key of made) {
      await store.insertKey(key);
    }
    const seen: string[] = [];
    let page = await store.listKeys(3, undefined);
    while (page.length > 0) {
      seen.push(...page.map((key) => key.id));
      const last = page.at(-1);
      page = last === undefined ? [] : await store.listKeys(3, last);
    }
    const expected = made.toSorted((a, b) => b.createTimeMs - a.createTimeMs || (a.id < b.id ? 1 : -1));
    assert.deepEqual(
      seen,
      expected.map((key) => key.id),
    );
  });

  test(`${name} lists keys of one organisation, team or user, and leaves out what was revoked`, async () => {
    const store = await open();
    const keys = {
      plain: newKey({}),
      acme: newKey({ organizationId: "acme", userId: "ada" }),
      team: newKey({ organizationId: "acme", teamId: "search" }),
    };
    for (const key of Object.values(keys)) {
      await store.insertKey(key);
    }
    const all = { organizationId: "", teamId: "", userId: "", hideRevoked: true };
    const ids = async (filter: Partial<typeof all>) =>
      (await store.listKeys(10, undefined, { ...all, ...filter })).map((key) => key.id).toSorted();
    assert.deepEqual(await ids({}), [keys.plain.id, keys.acme.id, keys.team.id].toSorted());
    assert.deepEqual(await ids({ organizationId: "acme" }), [keys.acme.id, keys.team.id].toSorted());
    assert.deepEqual(await ids({ organizationId: "acme", teamId: "search" }), [keys.team.id]);
    assert.deepEqual(await ids({ userId: "ada" }), [keys.acme.id]);
    assert.deepEqual(await ids({ organizationId: "other" }), []);
  });

  test(`${name} lists what changed lately`, async () => {
    const store = await open();
    const key = newKey({});
    await store.insertKey(key);
    assert.deepEqual(
      (await store.listChangedKeys(60_000)).map((each) => each.id),
      [key.id],
    );
  });

  test(`${name} makes the first keys once, for any number of starts`, async () => {
    const store = await open();
    const starts = Array.from({ length: 4 }, () =>
      store.bootstrap({ admin: newAdmin(), given: false, first: newKey({}) }),
    );
    const results = await Promise.all(starts);
    assert.equal(results.filter((result) => result.adminAdded).length, 1);
    assert.equal(results.filter((result) => result.firstAdded).length, 1);
    assert.equal((await store.listKeys(10, undefined)).length, 2);
  });

  test(`${name} keeps the given admin key valid and ends the one given before`, async () => {
    const store = await open();
    const older = newAdmin();
    const newer = newAdmin();
    const start = (admin: NewKey) => store.bootstrap({ admin, given: true, first: newKey({}) });
    assert.deepEqual(await start(older), { adminAdded: true, firstAdded: true });
    assert.deepEqual(await start(older), { adminAdded: false, firstAdded: false });
    assert.deepEqual(await start(newer), { adminAdded: true, firstAdded: false });
    assert.notEqual((await store.getKey(older.id))?.revokeTimeMs, undefined);
    assert.equal((await store.getKey(newer.id))?.revokeTimeMs, undefined);
    await start(older);
    assert.equal((await store.getKey(older.id))?.revokeTimeMs, undefined, "a key that is given again works again");
    assert.notEqual((await store.getKey(newer.id))?.revokeTimeMs, undefined);
  });
}

const notChanged = { revokeTimeMs: undefined, disableTimeMs: undefined, previous: undefined, revision: 1n };

function newAdmin(): NewKey {
  return newKey({ admin: true, role: "owner", organizationId: "", fromEnvironment: true });
}

function newKey(settings: Partial<NewKey>): NewKey {
  return {
    id: randomUUID().replaceAll("-", "").slice(0, 12),
    digest: new Uint8Array(randomBytes(32)),
    displayName: "test",
    organizationId: "default",
    teamId: "",
    allowedModels: [],
    requestsPerMinute: undefined,
    tokensPerMinute: undefined,
    budgetNanosUsd: undefined,
    tags: {},
    admin: false,
    role: undefined,
    userId: "",
    serviceAccount: false,
    logBodies: false,
    fromEnvironment: false,
    createTimeMs: 1_750_000_000_000,
    expireTimeMs: undefined,
    ...settings,
  };
}
