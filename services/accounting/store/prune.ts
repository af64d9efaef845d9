import type pg from "pg";

const hourMs = 3_600_000;
const leaseCostsMs = 3 * hourMs;
const alertsMs = 90 * 24 * hourMs;

/**
 * Forgets what is not asked for any more: the costs of leases that were last paid from three hours ago, which quota has
 * reconciled long since; corrections of rows that are gone; alerts after 90 days.
 */
export async function prune(pool: pg.Pool, retentionMs: number): Promise<void> {
  for (const [table, column, ageMs] of [
    ["lease_costs", "change_time", leaseCostsMs],
    ["cost_changes", "change_time", retentionMs],
    ["alerts", "create_time", alertsMs],
  ] as const) {
    await pool.query(
      `DELETE FROM accounting.${table} WHERE ${column} < now() - $1::bigint * interval '1 millisecond'`,
      [ageMs],
    );
  }
}
