import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { Role } from "#gen/penstock/admin/v1/role_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { type KeyRecord, KeyState, QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { digestCredential } from "./key-credential.ts";
import { type BootstrapSecrets, createQuotaModule, quotaConfig } from "./module.ts";
import { ledgerOf } from "./testing.ts";

const postgres = await startTestPostgres();
const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops.splice(0).toReversed()) {
    await stop();
  }
  await postgres.close();
});

test("makes an admin key and a first key at the first start, and none at the next", async () => {
  const databaseUrl = await postgres.createDatabase();
  const first = await start(databaseUrl);
  const { adminKey = "", firstKey = "" } = first.secrets;
  assert.match(adminKey, /^sk-pen-[0-9A-Za-z]{12}-[0-9A-Za-z]{48}$/);
  assert.match(firstKey, /^sk-pen-[0-9A-Za-z]{12}-[0-9A-Za-z]{48}$/);
  const admin = await first.quota.resolveKey({ digest: digestCredential(adminKey) });
  assert.deepEqual([admin.key?.admin, admin.key?.state], [true, KeyState.ACTIVE]);
  const virtual = await first.quota.resolveKey({ digest: digestCredential(firstKey) });
  assert.deepEqual([virtual.key?.admin, virtual.key?.id], [false, firstKey.split("-")[2]]);
  const second = await start(databaseUrl);
  assert.deepEqual(second.secrets, { adminKey: undefined, firstKey: undefined });
});

test("takes the admin key of the environment and prints no other", async () => {
  const adminKey = "correct horse battery staple";
  const { secrets, quota } = await start(await postgres.createDatabase(), { adminKey });
  assert.equal(secrets.adminKey, undefined);
  assert.notEqual(secrets.firstKey, undefined);
  assert.equal((await quota.resolveKey({ digest: digestCredential(adminKey) })).key?.admin, true);
});

test("does not start with an admin key that is too short", async () => {
  await assert.rejects(start(await postgres.createDatabase(), { adminKey: "short" }), RangeError);
});

test("gives back every setting of a key, and shows the secret once", async () => {
  const { keys, teams, users } = await start(await postgres.createDatabase());
  await teams.createTeam({ team: { id: "team" } });
  await users.createUser({ user: { id: "ada", organizationId: "default", email: "ada@example.com" } });
  const settings = {
    displayName: "search",
    allowedModels: ["gpt-*"],
    budgetNanosUsd: 5_000_000_000n,
    requestsPerMinute: 60n,
    tokensPerMinute: 100_000n,
    expireTime: { seconds: 1_900_000_000n, nanos: 0 },
    tags: { env: "prod" },
    teamId: "team",
    organizationId: "default",
    userId: "ada",
    serviceAccount: true,
    logBodies: true,
  };
  const created = await keys.createKey({ key: settings });
  const key = created.key;
  assert.ok(key !== undefined);
  const {
    $typeName: _type,
    id,
    createTime,
    revoked,
    spentNanosUsd,
    heldNanosUsd,
    admin,
    role,
    disabled,
    ...rest
  } = key;
  assert.ok(created.secret.startsWith(`sk-pen-${id}-`));
  assert.deepEqual([revoked, disabled, spentNanosUsd, heldNanosUsd], [false, false, 0n, 0n]);
  assert.deepEqual([admin, role], [false, Role.UNSPECIFIED]);
  assert.ok(createTime !== undefined);
  assert.deepEqual(
    { ...rest, expireTime: { seconds: rest.expireTime?.seconds, nanos: rest.expireTime?.nanos } },
    settings,
  );
  assert.deepEqual((await keys.getKey({ keyId: id })).key, key);
  assert.deepEqual(
    (await keys.listKeys({ pageSize: 1 })).keys.map((each) => each.id),
    [id],
  );
});

test("lists all keys page by page", async () => {
  const { keys } = await start(await postgres.createDatabase());
  for (let index = 0; index < 5; index += 1) {
    await keys.createKey({ key: { displayName: `key ${index}` } });
  }
  const names = new Set<string>();
  let pageToken = "";
  do {
    const page = await keys.listKeys({ pageSize: 3, pageToken });
    for (const key of page.keys) {
      names.add(key.displayName);
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.equal(names.size, 7);
});

test("refuses what a key may not be", async () => {
  const { keys } = await start(await postgres.createDatabase());
  const refused = async (call: Promise<unknown>, code: Code) =>
    assert.rejects(call, (error) => error instanceof ConnectError && error.code === code);
  await refused(keys.createKey({ key: { budgetNanosUsd: -1n } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { requestsPerMinute: -1n } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { tokensPerMinute: -1n } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { displayName: "a\0" } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { tags: { a: "x".repeat(257) } } }), Code.InvalidArgument);
  await refused(keys.createKey({ key: { expireTime: { seconds: 10n ** 15n } } }), Code.InvalidArgument);
  await refused(keys.updateKey({ key: { displayName: "no id" } }), Code.InvalidArgument);
  await refused(keys.updateKey({ key: { id: "nobody" } }), Code.NotFound);
  await refused(keys.getKey({ keyId: "nobody" }), Code.NotFound);
  await refused(keys.revokeKey({ keyId: "nobody" }), Code.NotFound);
  await refused(keys.listKeys({ pageToken: "Zm9v" }), Code.InvalidArgument);
  await refused(keys.listKeys({ pageSize: 1_001 }), Code.InvalidArgument);
});

test("holds, settles and reports a budget to the nano-dollar", async () => {
  const { keys, quota } = await start(await postgres.createDatabase());
  const { key } = await keys.createKey({ key: { budgetNanosUsd: 1_000n } });
  const keyId = key?.id ?? "";
  const cost = { costNanosUsd: 300n, minimumCostNanosUsd: 300n };
  const first = await quota.reserve({ requestId: "a", keyId, ...cost });
  assert.equal(first.heldNanosUsd, 300n);
  assert.equal(first.leases.length, 1);
  assert.equal((await quota.reserve({ requestId: "b", keyId, ...cost })).heldNanosUsd, 300n);
  await quota.settle({
    settlements: [
      { requestId: "a", keyId, leaseIds: first.leases.map(({ leaseId }) => leaseId), costNanosUsd: 299n, tokens: 5n },
    ],
  });
  const state = (await keys.getKey({ keyId })).key;
  assert.deepEqual([state?.spentNanosUsd, state?.heldNanosUsd], [299n, 300n]);
  await assert.rejects(
    quota.reserve({ requestId: "c", keyId, costNanosUsd: 500n, minimumCostNanosUsd: 500n }),
    (error) => {
      const detail = errorDetailOf(error);
      assert.deepEqual(detail.metadata, {
        limit: "budget",
        scope: "key",
        scope_id: keyId,
        window: "lifetime",
        value: "1000",
        used: "599",
      });
      return detail.reason === ErrorReason.BUDGET_EXHAUSTED;
    },
  );
});

test("refuses beyond a rate limit with its value, its use and when to come back", async () => {
  const { keys, quota } = await start(await postgres.createDatabase());
  const { key } = await keys.createKey({ key: { requestsPerMinute: 2n, tokensPerMinute: 1_000n } });
  const keyId = key?.id ?? "";
  await quota.reserve({ requestId: "a", keyId, tokens: 100n });
  const second = await quota.reserve({ requestId: "b", keyId, tokens: 100n });
  assert.deepEqual([second.requests?.limit, second.requests?.remaining], [2n, 0n]);
  assert.deepEqual([second.tokens?.limit, second.tokens?.remaining, second.leases], [1_000n, 800n, []]);
  await assert.rejects(quota.reserve({ requestId: "c", keyId, tokens: 1n }), (error) => {
    const detail = errorDetailOf(error);
    assert.deepEqual(detail.metadata, {
      limit: "requests_per_minute",
      scope: "key",
      scope_id: keyId,
      value: "2",
      used: "2",
    });
    assert.ok(detail.retryDelay !== undefined && detail.retryDelay.seconds > 0n);
    return detail.reason === ErrorReason.RATE_LIMITED;
  });
});

test("refuses a reservation without a request or a key, and a digest of another length", async () => {
  const { quota } = await start(await postgres.createDatabase());
  for (const call of [
    () => quota.reserve({ keyId: "key" }),
    () => quota.reserve({ requestId: "a" }),
    () => quota.resolveKey({ digest: new Uint8Array(31) }),
  ]) {
    await assert.rejects(call, (error) => error instanceof ConnectError && error.code === Code.InvalidArgument);
  }
});

test("refuses a key that is unknown or revoked", async () => {
  const { keys, quota } = await start(await postgres.createDatabase());
  const { key } = await keys.createKey({});
  const keyId = key?.id ?? "";
  await quota.reserve({ requestId: "a", keyId });
  assert.equal((await keys.revokeKey({ keyId })).key?.revoked, true);
  for (const id of [keyId, "nobody"]) {
    await assert.rejects(
      quota.reserve({ requestId: "b", keyId: id }),
      (error) => error instanceof ConnectError && error.code === Code.NotFound,
    );
  }
});

test("streams all keys and then each change, of its own process and of another", async () => {
  const databaseUrl = await postgres.createDatabase();
  const [here, there] = [await start(databaseUrl), await start(databaseUrl)];
  const watch = watchKeys(here.quota);
  assert.equal((await watch.until((known) => known.size === 2)).size, 2);
  const mine = await here.keys.createKey({ key: { displayName: "mine" } });
  await watch.until((known) => known.has(mine.key?.id ?? ""));
  const theirs = await there.keys.createKey({ key: { displayName: "theirs", budgetNanosUsd: 5n } });
  const keyId = theirs.key?.id ?? "";
  await watch.until((known) => known.get(keyId)?.hasBudget === true);
  await there.keys.revokeKey({ keyId });
  await watch.until((known) => known.get(keyId)?.state === KeyState.REVOKED);
  await watch.leave();
});

test("reconciles what a dead process held against the ledger", async () => {
  const databaseUrl = await postgres.createDatabase();
  const ledger = new Map<string, bigint>();
  const dead = await start(databaseUrl, { ledger });
  const { key } = await dead.keys.createKey({ key: { budgetNanosUsd: 1_000n } });
  const keyId = key?.id ?? "";
  const cost = { costNanosUsd: 900n, minimumCostNanosUsd: 900n };
  const { leases } = await dead.quota.reserve({ requestId: "a", keyId, ...cost });
  // It ends before it settles: what the request cost is known to the ledger alone.
  await dead.stop();
  ledger.set(leases[0]?.leaseId ?? "", 400n);
  const next = await start(databaseUrl, { ledger, isOnlyHolder: true });
  const spent = await eventually(async () => {
    const state = (await next.keys.getKey({ keyId })).key;
    return state?.heldNanosUsd === 0n && state.spentNanosUsd > 0n ? state.spentNanosUsd : undefined;
  });
  assert.equal(spent, 400n);
  assert.equal(
    (await next.quota.reserve({ requestId: "b", keyId, costNanosUsd: 600n, minimumCostNanosUsd: 600n })).heldNanosUsd,
    600n,
  );
});

interface StartOptions {
  readonly adminKey?: string;
  readonly isOnlyHolder?: boolean;
  readonly ledger?: ReadonlyMap<string, bigint>;
}

async function start(databaseUrl: string, options: StartOptions = {}) {
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(AccountingService, ledgerOf(options.ledger ?? new Map()));
  let secrets: BootstrapSecrets = { adminKey: undefined, firstKey: undefined };
  const module = createQuotaModule({
    mesh,
    config: quotaConfig.parse({ refill_timeout: "10s" }),
    databaseUrl: () => databaseUrl,
    adminKey: options.adminKey,
    isOnlyHolder: options.isOnlyHolder ?? false,
    reconcile: { graceMs: 0, intervalMs: 50 },
    onBootstrap: (made) => {
      secrets = made;
    },
  });
  await module.start();
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (!isStopped) {
      isStopped = true;
      await module.stop();
    }
  };
  stops.push(stop);
  return {
    stop,
    secrets,
    quota: mesh.client(QuotaService),
    keys: mesh.client(KeyService),
    teams: mesh.client(TeamService),
    users: mesh.client(UserService),
  };
}

function watchKeys(client: Client<typeof QuotaService>) {
  const known = new Map<string, KeyRecord>();
  const stream = client.watchKeys({})[Symbol.asyncIterator]();
  return {
    async until(condition: (known: ReadonlyMap<string, KeyRecord>) => boolean) {
      while (!condition(known)) {
        const { value, done } = await stream.next();
        assert.notEqual(done, true);
        for (const record of value?.keys ?? []) {
          known.set(record.id, record);
        }
      }
      return known;
    },
    leave: async () => stream.return?.(),
  };
}

async function eventually<T>(read: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const value = await read();
    if (value !== undefined) {
      return value;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
