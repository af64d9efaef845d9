import type pg from "pg";
import type { RateShare } from "../limits/limit-book.ts";
import type { BudgetWindow, LimitMetric, LimitRule, ScopeKind } from "../limits/limit-rule.ts";

/** Keeps the limits that are set at run time, and knows which processes share the rates. Rejects when it cannot be asked. */
export interface LimitStore {
  /** All limits, in the order in which they were made. */
  listLimits(): Promise<readonly LimitRule[]>;
  /** Says that this process lives, and for how long at least; tells its share of the rates. */
  heartbeat(ttlMs: number): Promise<RateShare>;
  /** Says that this process admits nothing more. */
  leave(): Promise<void>;
}

interface LimitRow {
  readonly id: string;
  readonly scope_kind: ScopeKind;
  readonly scope_tag: string;
  readonly scope_value: string | null;
  readonly metric: LimitMetric["kind"];
  readonly amount: bigint;
  readonly period: BudgetWindow | null;
  readonly zone: string | null;
  readonly warn_at: readonly number[];
}

/** Makes the store of limits in Postgres; the schema `quota` is migrated. `holder` is the name of this process. */
export function createPostgresLimitStore(deps: { readonly pool: pg.Pool; readonly holder: string }): LimitStore {
  const { pool, holder } = deps;
  return {
    async listLimits() {
      const { rows } = await pool.query<LimitRow>(
        `SELECT id, scope_kind, scope_tag, scope_value, metric, amount, period, zone, warn_at
         FROM quota.limits ORDER BY create_time, id`,
      );
      return rows.map(mapLimitRow);
    },
    async heartbeat(ttlMs) {
      const { rows } = await pool.query<{ holder: string }>(
        `WITH gone AS (DELETE FROM quota.processes WHERE expire_time < clock_timestamp() - interval '1 hour'),
         alive AS (
           INSERT INTO quota.processes (holder, expire_time)
           VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond')
           ON CONFLICT (holder) DO UPDATE SET expire_time = EXCLUDED.expire_time
           RETURNING holder)
         SELECT holder FROM quota.processes WHERE expire_time > clock_timestamp()
         UNION SELECT holder FROM alive ORDER BY holder`,
        [holder, ttlMs],
      );
      return { rank: rows.findIndex((row) => row.holder === holder), processes: rows.length };
    },
    async leave() {
      await pool.query("DELETE FROM quota.processes WHERE holder = $1", [holder]);
    },
  };
}

function mapLimitRow(row: LimitRow): LimitRule {
  const { metric, amount, period, zone } = row;
  return {
    id: row.id,
    scope: { kind: row.scope_kind, tag: row.scope_tag, value: row.scope_value ?? undefined },
    metric:
      metric === "budget"
        ? { kind: metric, nanosUsd: amount, window: period ?? "lifetime", zone: zone ?? "UTC" }
        : { kind: metric, limit: Number(amount) },
    warnAt: row.warn_at,
  };
}
