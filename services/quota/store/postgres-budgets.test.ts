import { after } from "node:test";
import { createPool } from "#kit/postgres/create-pool.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createPostgresBudgetStore } from "./postgres-budgets.ts";
import { testBudgetStore } from "./budget-store.contract.ts";

const postgres = await startTestPostgres();
const pool = createPool({ url: await postgres.createDatabase(), name: "quota test" });
await migrate(pool, { service: "quota", directory: new URL("../migrations/", import.meta.url) });
after(async () => {
  await pool.end();
  await postgres.close();
});

testBudgetStore("the Postgres store", () =>
  Promise.resolve({
    a: createPostgresBudgetStore({ pool, holder: "a", leaseTtlMs: 30_000 }),
    b: createPostgresBudgetStore({ pool, holder: "b", leaseTtlMs: 30_000 }),
    async setLimit(budgetId: string, limit: bigint | undefined) {
      await pool.query(
        `INSERT INTO quota.budgets (id, scope_kind, scope_id, limit_nanos) VALUES ($1, 'key', $1, $2)
         ON CONFLICT (id) DO UPDATE SET limit_nanos = EXCLUDED.limit_nanos`,
        [budgetId, limit],
      );
    },
    async totals(budgetId: string) {
      const result = await pool.query<{ spent: bigint; leased: bigint }>(
        "SELECT spent_nanos AS spent, leased_nanos AS leased FROM quota.budgets WHERE id = $1",
        [budgetId],
      );
      return result.rows[0] ?? { spent: 0n, leased: 0n };
    },
  }),
);
