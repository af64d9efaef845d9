import type pg from "pg";
import type { RateShare } from "../limits/limit-book.ts";
import type { BudgetWindow, LimitMetric, LimitRule, ScopeKind } from "../limits/limit-rule.ts";
import type { AdminTransaction, BudgetUsage, BudgetUsageQuery, StoredLimit } from "./admin-store.ts";
import type { Queryable } from "./postgres-tenants.ts";

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
  readonly owner_organization_id: string;
  readonly owner_team_id: string;
  readonly create_time: Date;
}

/** The channel on which it is announced that limits have changed. */
export const limitChannel = "penstock_quota_limits";

const selectLimits = `SELECT id, scope_kind, scope_tag, scope_value, metric, amount, period, zone, warn_at,
  owner_organization_id, owner_team_id, create_time FROM quota.limits`;

/** Makes the store of limits in Postgres; the schema `quota` is migrated. `holder` is the name of this process. */
export function createPostgresLimitStore(deps: { readonly pool: pg.Pool; readonly holder: string }): LimitStore {
  const { pool, holder } = deps;
  return {
    async listLimits() {
      return (await listStoredLimits(pool)).map(({ rule }) => rule);
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

/** All limits with whose they are, in the order in which they were made. */
export async function listStoredLimits(client: Queryable): Promise<readonly StoredLimit[]> {
  const { rows } = await client.query<LimitRow>(`${selectLimits} ORDER BY create_time, id`);
  return rows.map(mapLimitRow);
}

/** The part of a transaction that changes limits. */
export function changeLimits(
  client: Queryable,
): Pick<AdminTransaction, "getLimit" | "insertLimit" | "saveLimit" | "deleteLimit" | "topUp"> {
  const announce = async (): Promise<void> => {
    await client.query("SELECT pg_notify($1, '')", [limitChannel]);
  };
  return {
    async getLimit(id) {
      const { rows } = await client.query<LimitRow>(`${selectLimits} WHERE id::text = $1 FOR UPDATE`, [id]);
      return rows.map(mapLimitRow)[0];
    },
    async insertLimit({ rule, owner, createTimeMs }) {
      const { rowCount } = await client.query(
        `INSERT INTO quota.limits (id, scope_kind, scope_tag, scope_value, metric, amount, period, zone, warn_at,
           owner_organization_id, owner_team_id, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
        [
          rule.id,
          rule.scope.kind,
          rule.scope.tag,
          rule.scope.value,
          rule.metric.kind,
          amountOf(rule.metric),
          rule.metric.kind === "budget" ? rule.metric.window : null,
          rule.metric.kind === "budget" ? rule.metric.zone : null,
          rule.warnAt,
          owner.organizationId,
          owner.teamId,
          new Date(createTimeMs),
        ],
      );
      await announce();
      return rowCount !== 0;
    },
    async saveLimit({ rule }) {
      await client.query(
        "UPDATE quota.limits SET amount = $2, warn_at = $3, change_time = clock_timestamp() WHERE id = $1",
        [rule.id, amountOf(rule.metric), rule.warnAt],
      );
      await announce();
    },
    async deleteLimit(id) {
      await client.query("DELETE FROM quota.limits WHERE id = $1", [id]);
      await announce();
    },
    async topUp({ madeBy, idempotencyKey }, { id, limitNanosUsd, amountNanosUsd }) {
      const added = await client.query(
        `INSERT INTO quota.top_ups (made_by, idempotency_key, budget_id, amount_nanos) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING`,
        [madeBy, idempotencyKey, id, amountNanosUsd],
      );
      if (added.rowCount === 0) {
        const { rows } = await client.query<{ budget_id: string; amount_nanos: bigint }>(
          "SELECT budget_id, amount_nanos FROM quota.top_ups WHERE made_by = $1 AND idempotency_key = $2",
          [madeBy, idempotencyKey],
        );
        return { kind: "repeated", budgetId: rows[0]?.budget_id ?? "", amountNanosUsd: rows[0]?.amount_nanos ?? 0n };
      }
      await client.query(
        `INSERT INTO quota.budgets (id, scope_kind, scope_id, limit_nanos, extra_nanos) VALUES ($1, 'limit', $1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET extra_nanos = budgets.extra_nanos + EXCLUDED.extra_nanos,
           version = budgets.version + 1`,
        [id, limitNanosUsd, amountNanosUsd],
      );
      return { kind: "added" };
    },
  };
}

/** What was used of the budgets of a limit in one window, by value. */
export async function readBudgetUsage(client: Queryable, query: BudgetUsageQuery): Promise<readonly BudgetUsage[]> {
  const { prefix, suffix, value, afterValue, limit } = query;
  const { rows } = await client.query<{ value: string; spent: bigint; extra: bigint; held: bigint }>(
    `SELECT b.value, b.spent_nanos AS spent, b.extra_nanos AS extra,
       coalesce((SELECT sum(l.held_nanos) FROM quota.leases l WHERE l.budget_id = b.id AND l.open), 0)::bigint AS held
     FROM (SELECT *, substr(id, length($1) + 1, length(id) - length($1) - length($2)) COLLATE "C" AS value
           FROM quota.budgets
           WHERE scope_kind = 'limit' AND id COLLATE "C" >= $1 AND id COLLATE "C" < $1 || U&'\\+10FFFF'
             AND right(id, length($2)) = $2 AND length(id) > length($1) + length($2)) b
     WHERE CASE WHEN $3::text IS NULL THEN b.value > $4 ELSE b.value = $3 END
     ORDER BY b.value LIMIT $5`,
    [prefix, suffix, value, afterValue, limit],
  );
  return rows.map((row) => ({
    value: row.value,
    spentNanosUsd: row.spent,
    heldNanosUsd: row.held,
    extraNanosUsd: row.extra,
  }));
}

function amountOf(metric: LimitMetric): bigint | number {
  return metric.kind === "budget" ? metric.nanosUsd : metric.limit;
}

function mapLimitRow(row: LimitRow): StoredLimit {
  return {
    rule: mapRule(row),
    owner: { organizationId: row.owner_organization_id, teamId: row.owner_team_id },
    createTimeMs: row.create_time.getTime(),
  };
}

function mapRule(row: LimitRow): LimitRule {
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
