import { randomUUID } from "node:crypto";
import type pg from "pg";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { Live } from "#kit/config/create-live-config.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { serveAdmin } from "./admin/serve-admin.ts";
import { type BootstrapSecrets, ensureBootstrapKeys } from "./bootstrap-keys.ts";
import { createBudgetWatch } from "./budget-watch.ts";
import { startChangeListener } from "./change-listener.ts";
import type { QuotaConfig } from "./config.ts";
import type { LimitRule } from "./limits/limit-rule.ts";
import { type LimitsConfig, rulesOfConfig } from "./limits/limits-config.ts";
import { type Loop, startLoop } from "#kit/modules/start-loop.ts";
import { Quota } from "./quota.ts";
import { startOwned } from "./owned/start-owned.ts";
import { reconcileLeases } from "./reconcile.ts";
import { createQuotaService } from "./service.ts";
import { createPostgresAdminStore } from "./store/postgres-admin.ts";
import { createPostgresBudgetStore } from "./store/postgres-budgets.ts";
import { createPostgresKeyStore } from "./store/postgres-keys.ts";
import { createPostgresLimitStore, type LimitStore } from "./store/postgres-limits.ts";
import type { KeyStore } from "./store/store.ts";

export type { BootstrapSecrets } from "./bootstrap-keys.ts";
export { type QuotaConfig, quotaConfig } from "./config.ts";
export { limitsConfig } from "./limits/limits-config.ts";

/** What quota is made of. */
export interface QuotaModuleDeps {
  readonly mesh: Mesh;
  readonly config: QuotaConfig;
  /** The limits of the configuration; none when absent. */
  readonly limits?: Live<LimitsConfig>;
  /** The database; a function when it is known only once the module starts. */
  readonly databaseUrl: string | (() => string);
  /** The modules to start before this one; `postgres` unless given. */
  readonly needs?: readonly string[];
  /** The admin key of the environment. */
  readonly adminKey?: string | undefined;
  /** Takes the credentials of a first start, to print them once. */
  readonly onBootstrap?: (secrets: BootstrapSecrets) => void;
  /**
   * Whether no other process shares the database, as in one process with everything: what its predecessor held is then
   * reconciled a few seconds after the start rather than when the predecessor's leases expire.
   */
  readonly isOnlyHolder?: boolean;
  /** When leases of dead processes are reconciled after they expired, and how often that is looked for. */
  readonly reconcile?: { readonly graceMs: number; readonly intervalMs: number };
  /** Hears of failures in the background, each of which is tried again. */
  readonly onError?: (error: unknown) => void;
}

const leaseTtlMs = 30_000;
// With the lease's 30 s, what a dead process had is back 90 s after its last word: holds would have expired after 120.
const reconcileOfMany = { graceMs: 60_000, intervalMs: 5_000 };
// The requests of a predecessor ended with it; what its journal still has reaches the ledger first.
const reconcileOfOne = { graceMs: 5_000, intervalMs: 5_000 };
const pollIntervalMs = 2_000;
const pollOverlapMs = 30_000;
const pageSize = 1_000;
const alertMs = 2_000;
const heartbeatMs = 2_000;
const processTtlMs = 6_000;

/** Makes quota: keys, limits, budgets. */
export function createQuotaModule(deps: QuotaModuleDeps): Module {
  const onError = deps.onError ?? (() => undefined);
  let pool: pg.Pool | undefined;
  let quota: Quota | undefined;
  let leave: (() => Promise<void>) | undefined;
  let loops: readonly Loop[] = [];
  return {
    name: "quota",
    needs: deps.needs ?? ["postgres"],
    async start() {
      const url = typeof deps.databaseUrl === "string" ? deps.databaseUrl : deps.databaseUrl();
      pool = createPool({ url, name: "penstock quota" });
      try {
        ({ quota, loops, leave } = await startQuota(deps, pool, url, onError));
      } catch (error) {
        await pool.end();
        throw error;
      }
    },
    async drain() {
      // Ingresses keep the keys they have; a stream that ends here makes them ask another process.
      quota?.endFeeds();
    },
    async stop() {
      quota?.endFeeds();
      await Promise.all(loops.map((loop) => loop.stop()));
      // When this fails, the others take over this process' share of the rates a few seconds later.
      await leave?.().catch(onError);
      // When this fails the leases expire, and another process or the next start reconciles them.
      await quota?.keeper.stop().catch(onError);
      await pool?.end();
    },
  };
}

interface RunningQuota {
  readonly quota: Quota;
  readonly loops: readonly Loop[];
  readonly leave: () => Promise<void>;
}

async function startQuota(
  deps: QuotaModuleDeps,
  pool: pg.Pool,
  url: string,
  onError: (error: unknown) => void,
): Promise<RunningQuota> {
  const { config, mesh } = deps;
  await migrate(pool, { service: "quota", directory: new URL("./migrations/", import.meta.url) });
  const holder = randomUUID();
  const keys = createPostgresKeyStore({ pool });
  const budgets = createPostgresBudgetStore({ pool, holder, leaseTtlMs });
  const limits = createPostgresLimitStore({ pool, holder });
  const now = (): number => performance.now();
  const watch = createBudgetWatch({
    raise: (alerts) => mesh.client(AlertService).raiseAlert({ alerts }),
    wallClock: Date.now,
  });
  const quota = new Quota({
    onSpent: (account, spent) => watch.note(account, spent),
    budgets,
    keys,
    now,
    wallClock: Date.now,
    newId: randomUUID,
    onError,
    options: {
      holdTtlMs: Math.min(config.hold_ttl, 120_000),
      maxHolds: 500_000,
      maxWaitMs: 2_000,
      refillTimeoutMs: config.refill_timeout,
      flushTimeoutMs: 1_000,
      graceMs: config.grace,
      retryMs: 500,
      idleMs: config.idle,
      extendMs: leaseTtlMs / 3,
      sliceMaximum: config.slice_maximum,
      maxWaiting: 10_000,
    },
  });
  if (deps.isOnlyHolder === true) {
    await budgets.expireLeases();
  }
  const secrets = await ensureBootstrapKeys(keys, { adminKey: deps.adminKey, nowMs: Date.now() });
  const poll = createKeyPoll(keys, quota, now());
  const configured = (): readonly LimitRule[] => rulesOfConfig(deps.limits?.current ?? []);
  const readLimits = createLimitReader(limits, quota, configured);
  await readLimits();
  await shareRates(limits, quota);
  await loadKeys(keys, quota);
  deps.onBootstrap?.(secrets);

  const { graceMs, intervalMs } = deps.reconcile ?? (deps.isOnlyHolder === true ? reconcileOfOne : reconcileOfMany);
  const sumLeases = async (leaseIds: readonly string[]): Promise<ReadonlyMap<string, bigint>> => {
    const sums = await mesh.client(AccountingService).sumLeases({ leaseIds: [...leaseIds] });
    return new Map(Object.entries(sums.costNanosUsd));
  };
  const loops = [
    startLoop(() => quota.tick(), { intervalMs: config.flush_interval, onError }),
    startLoop(() => reconcileLeases({ store: budgets, sumLeases, graceMs }), {
      intervalMs,
      onError,
    }),
    startLoop(() => poll(now()), { intervalMs: pollIntervalMs, onError }),
    startLoop(readLimits, { intervalMs: pollIntervalMs, onError }),
    startLoop(() => shareRates(limits, quota), { intervalMs: heartbeatMs, onError }),
    startLoop(() => watch.flush(), { intervalMs: alertMs, onError }),
    await startOwned({ pool, mesh, onError }),
  ];
  const listener = startChangeListener({
    databaseUrl: url,
    onKey: (keyId) => {
      refreshKey(keys, quota, keyId).catch(onError);
    },
    onLimits: () => {
      readLimits().catch(onError);
    },
    onConnected: () => {
      poll(now()).catch(onError);
      readLimits().catch(onError);
    },
    onError,
  });
  mesh.serve(QuotaService, createQuotaService({ quota, keys, now }));
  serveAdmin(mesh, {
    keys,
    admin: createPostgresAdminStore({ pool }),
    budgets,
    quota,
    wallClock: Date.now,
    now,
    configured,
    reload: readLimits,
  });
  return {
    quota,
    loops,
    async leave() {
      await listener.stop();
      await limits.leave();
    },
  };
}

/** Takes over the limits of the configuration and of the database whenever they differ from those in use. */
function createLimitReader(
  store: LimitStore,
  quota: Quota,
  configured: () => readonly LimitRule[],
): () => Promise<void> {
  let known = "";
  let last: Promise<void> = Promise.resolve();
  const read = async (): Promise<void> => {
    const rules = [...configured(), ...(await store.listLimits())];
    const text = JSON.stringify(rules, (_name, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
    if (text !== known) {
      known = text;
      quota.setRules(rules);
    }
  };
  return () => {
    // One after the other: an answer that was overtaken would bring old limits back.
    last = last.then(read, read);
    return last;
  };
}

async function shareRates(store: LimitStore, quota: Quota): Promise<void> {
  quota.book.setShare(await store.heartbeat(processTtlMs));
}

async function loadKeys(keys: KeyStore, quota: Quota): Promise<void> {
  let page = await keys.listKeys(pageSize, undefined);
  for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
    for (const key of page) {
      quota.directory.put(key);
    }
    page = await keys.listKeys(pageSize, last);
  }
}

async function refreshKey(keys: KeyStore, quota: Quota, keyId: string): Promise<void> {
  const key = keyId === "" ? undefined : await keys.getKey(keyId);
  if (key !== undefined) {
    quota.directory.put(key);
  }
}

/** Finds keys that changed since the last time it could ask, whatever happened to the announcements. */
function createKeyPoll(keys: KeyStore, quota: Quota, startMs: number): (nowMs: number) => Promise<void> {
  let lastMs = startMs;
  return async (nowMs) => {
    // Transactions commit out of order, so the time before is looked at again.
    for (const key of await keys.listChangedKeys(nowMs - lastMs + pollOverlapMs)) {
      quota.directory.put(key);
    }
    lastMs = nowMs;
  };
}
