import { after } from "node:test";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createPostgresKeyStore } from "./postgres-keys.ts";
import { testKeyStore } from "./key-store.contract.ts";

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "quota test" });
await migrate(pool, { service: "quota", directory: new URL("../migrations/", import.meta.url) });
after(async () => {
  await pool.end();
  await postgres.close();
});

testKeyStore("the Postgres store of keys", async () => {
  await pool.query("TRUNCATE quota.keys, quota.budgets CASCADE");
  return createPostgresKeyStore({ pool });
});
