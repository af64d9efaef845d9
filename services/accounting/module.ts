import type pg from "pg";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { createAccountingService } from "./service.ts";
import { createPostgresLedgerStore } from "./store/postgres.ts";

/** What accounting is made of. */
export interface AccountingModuleDeps {
  readonly mesh: Mesh;
  /** The database; a function when it is known only once the module starts. */
  readonly databaseUrl: string | (() => string);
  /** The modules to start before this one; `postgres` unless given. */
  readonly needs?: readonly string[];
  /** Hears how many events became dead letters. */
  readonly onBuried?: (count: number) => void;
}

/** Makes accounting: the ledger and its answers. */
export function createAccountingModule(deps: AccountingModuleDeps): Module {
  let pool: pg.Pool | undefined;
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
      deps.mesh.serve(
        AccountingService,
        createAccountingService({
          store: createPostgresLedgerStore({ pool }),
          wallClock: Date.now,
          ...(deps.onBuried === undefined ? {} : { onBuried: deps.onBuried }),
        }),
      );
    },
    async stop() {
      await pool?.end();
    },
  };
}
