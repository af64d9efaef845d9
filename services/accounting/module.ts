import type pg from "pg";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import { createUsageConsumer, type UsageConsumer } from "#kit/nats/create-usage-consumer.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { handleUsageMessages } from "./handle-usage-messages.ts";
import { createAccountingService } from "./service.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";

/** What accounting is made of. */
export interface AccountingModuleDeps {
  readonly mesh: Mesh;
  /** The database; a function when it is known only once the module starts. */
  readonly databaseUrl: string | (() => string);
  /** The bus to take events from; without it, they come by `Ingest` only. */
  readonly natsUrl?: string | undefined;
  /** The modules to start before this one; `postgres` unless given. */
  readonly needs?: readonly string[];
  /** Hears how many events became dead letters. */
  readonly onBuried?: (count: number) => void;
  /** Hears of failures of the bus, each of which is tried again. */
  readonly onError?: (error: unknown) => void;
}

/** Makes accounting: the ledger and its answers. */
export function createAccountingModule(deps: AccountingModuleDeps): Module {
  let pool: pg.Pool | undefined;
  let consumer: UsageConsumer | undefined;
  return {
    name: "accounting",
    needs: deps.needs ?? ["postgres"],
    async start() {
      const url = typeof deps.databaseUrl === "string" ? deps.databaseUrl : deps.databaseUrl();
      pool = createPool({ url, name: "penstock accounting" });
      try {
        await migrate(pool, { service: "accounting", directory: new URL("./migrations/", import.meta.url) });
      } catch (error) {
        await pool.end();
        throw error;
      }
      const store = createPostgresLedgerStore({ pool });
      deps.mesh.serve(
        AccountingService,
        createAccountingService({
          store,
          wallClock: Date.now,
          ...(deps.onBuried === undefined ? {} : { onBuried: deps.onBuried }),
        }),
      );
      if (deps.natsUrl !== undefined) {
        consumer = createUsageConsumer({
          url: deps.natsUrl,
          name: "penstock-accounting",
          handle: (messages) => handleUsageMessages({ store, onBuried: deps.onBuried }, messages),
          ...(deps.onError === undefined ? {} : { onError: deps.onError }),
        });
      }
    },
    async stop() {
      await consumer?.stop();
      await pool?.end();
    },
  };
}
