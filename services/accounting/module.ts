import type pg from "pg";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import { createUsageConsumer, type UsageConsumer } from "#kit/nats/create-usage-consumer.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { createAlertService } from "./alerts/alert-service.ts";
import { createAlertStore } from "./alerts/alert-store.ts";
import { deliverAlerts } from "./alerts/deliver-alerts.ts";
import { destinationsOf } from "./alerts/destination.ts";
import { findAlerts } from "./alerts/find-alerts.ts";
import { type AccountingConfig, type AlertsConfig, accountingConfig, alertsConfig } from "./config.ts";
import { handleUsageMessages } from "./handle-usage-messages.ts";
import { type Loop, startLoop } from "#kit/modules/start-loop.ts";
import { countEvents, createLedgerMetrics } from "./metrics.ts";
import { createRepairService } from "./repair/repair-service.ts";
import { createAccountingService } from "./service.ts";
import { createPartitions } from "./store/partitions.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";
import { prune } from "./store/prune.ts";
import { LedgerFollower } from "./watch/ledger-follower.ts";

export { type AccountingConfig, type AlertsConfig, accountingConfig, alertsConfig } from "./config.ts";

/** What accounting is made of. */
export interface AccountingModuleDeps {
  readonly mesh: Mesh;
  /** The settings; the defaults unless given. */
  readonly config?: AccountingConfig;
  /** Where alerts go; nowhere unless given. */
  readonly alerts?: AlertsConfig;
  /** The database; a function when it is known only once the module starts. */
  readonly databaseUrl: string | (() => string);
  /** The bus to take events from; without it, they come by `Ingest` only. */
  readonly natsUrl?: string | undefined;
  /** The modules to start before this one; `postgres` unless given. */
  readonly needs?: readonly string[];
  /** Hears how many events became dead letters. */
  readonly onBuried?: (count: number) => void;
  /** Hears of what failed and is tried again. */
  readonly onError?: (error: unknown) => void;
}

const maintainEveryMs = 600_000;
const lookEveryMs = 400;
const deliverEveryMs = 2_000;
const findAlertsEveryMs = 60_000;
const maxNews = 20_000;
const maxWatchers = 200;

/** Makes accounting: the ledger and its answers. */
export function createAccountingModule(deps: AccountingModuleDeps): Module {
  const onError = deps.onError ?? ((): void => undefined);
  let pool: pg.Pool | undefined;
  let running: RunningAccounting | undefined;
  return {
    name: "accounting",
    needs: deps.needs ?? ["postgres"],
    async start() {
      const url = typeof deps.databaseUrl === "string" ? deps.databaseUrl : deps.databaseUrl();
      pool = createPool({ url, name: "penstock accounting" });
      try {
        running = await startAccounting(deps, pool, onError);
      } catch (error) {
        await pool.end();
        throw error;
      }
    },
    // Who watches goes on at another process.
    drain: async () => await running?.follower.stop(),
    async stop() {
      running?.abort.abort();
      await running?.follower.stop();
      await Promise.all(running?.loops.map((loop) => loop.stop()) ?? []);
      await running?.consumer?.stop();
      await pool?.end();
    },
  };
}

interface RunningAccounting {
  readonly follower: LedgerFollower;
  readonly loops: readonly Loop[];
  readonly consumer: UsageConsumer | undefined;
  /** Ends what waits for somebody outside. */
  readonly abort: AbortController;
}

async function startAccounting(
  deps: AccountingModuleDeps,
  pool: pg.Pool,
  onError: (error: unknown) => void,
): Promise<RunningAccounting> {
  const config = deps.config ?? accountingConfig.parse({});
  const alertSettings = deps.alerts ?? alertsConfig.parse({});
  const { mesh, onBuried } = deps;
  const wallClock = Date.now;
  const abort = new AbortController();
  await migrate(pool, { service: "accounting", directory: new URL("./migrations/", import.meta.url) });
  const retentionMs = config.retention;
  const partitions = createPartitions({ pool, wallClock, retentionMs });
  await partitions.maintain();
  const store = countEvents(createPostgresLedgerStore({ pool, partitions }), createLedgerMetrics(), wallClock);
  const follower = new LedgerFollower({
    store,
    intervalMs: lookEveryMs,
    maxEvents: maxNews,
    maxListeners: maxWatchers,
    onError,
  });
  const alerts = createAlertStore(pool);
  const destinations = destinationsOf(alertSettings);
  const deliver = (): Promise<void> => deliverAlerts({ store: alerts, destinations, wallClock, signal: abort.signal });
  mesh.serve(AccountingService, createAccountingService({ store, follower, wallClock, onBuried }));
  mesh.serve(RepairService, createRepairService({ pool, store, wallClock }));
  mesh.serve(AlertService, createAlertService({ store: alerts, destinations, wallClock }));
  const maintain = async (): Promise<void> => {
    await partitions.maintain();
    await prune(pool, retentionMs);
  };
  const find = async (): Promise<void> => {
    const found = await findAlerts(pool, alertSettings, wallClock());
    if (found.length > 0) {
      await alerts.raise(found, destinations);
    }
  };
  return {
    follower,
    abort,
    loops: [
      startLoop(maintain, { intervalMs: maintainEveryMs, onError }),
      startLoop(deliver, { intervalMs: deliverEveryMs, onError }),
      startLoop(find, { intervalMs: findAlertsEveryMs, onError }),
    ],
    consumer:
      deps.natsUrl === undefined
        ? undefined
        : createUsageConsumer({
            url: deps.natsUrl,
            name: "penstock-accounting",
            handle: (messages) => handleUsageMessages({ store, onBuried }, messages),
            onError,
          }),
  };
}
