import type pg from "pg";
import { isRetryable } from "#kit/postgres/is-retryable.ts";
import type { BudgetState, BudgetStore, ForwardedSettlement, LeaseSyncResult } from "./store.ts";

/** What the store works with. */
export interface PostgresBudgetStoreDeps {
  readonly pool: pg.Pool;
  /** The name of this process, unique among those that share the database. */
  readonly holder: string;
  /** How long a lease lasts that its holder does not speak of. */
  readonly leaseTtlMs: number;
}

// A query that is not answered by then is given up with its connection: a later one must not wait behind it.
const queryTimeoutMs = 3_000;
const maxRetries = 2;

interface SyncRow {
  readonly outcome: string;
  readonly granted: bigint;
  readonly room: bigint;
  readonly extra: bigint;
  readonly spent: bigint;
}

interface ForwardedRow {
  readonly request_id: string;
  readonly key_id: string;
  readonly lease_ids: readonly string[];
  readonly cost_nanos: bigint;
  /** As decimal text, since JSON's numbers are not exact. */
  readonly provider_costs: Readonly<Record<string, string>>;
  readonly tokens: bigint;
}

/** Makes the store of budgets and leases in Postgres; the schema `quota` is migrated. */
export function createPostgresBudgetStore(deps: PostgresBudgetStoreDeps): BudgetStore {
  const { pool, holder } = deps;
  const query = async <Row extends pg.QueryResultRow>(text: string, values: readonly unknown[]): Promise<Row[]> => {
    // pg takes query_timeout in the configuration of a query; its types list it only for clients.
    const config: pg.QueryConfig & { query_timeout: number } = {
      text,
      values: [...values],
      query_timeout: queryTimeoutMs,
    };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const result = await pool.query<Row>(config);
        return result.rows;
      } catch (error) {
        // Everything here may be repeated. Waiting is left to the callers, of whom some have little time.
        if (attempt === maxRetries || !isRetryable(error)) {
          throw error;
        }
      }
    }
  };
  return {
    async syncLeases(syncs) {
      // The rows of a subquery in order are handed to the function in that order, so locks are taken in the caller's.
      const rows = await query<SyncRow>(
        `SELECT r.outcome, r.granted, r.room,
           coalesce((SELECT b.extra_nanos FROM quota.budgets b WHERE b.id = s.budget), 0)::bigint AS extra,
           coalesce((SELECT b.spent_nanos FROM quota.budgets b WHERE b.id = s.budget), 0)::bigint AS spent
         FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
           $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::bigint[]) WITH ORDINALITY
           AS s(lease, budget, new, sequence, granted, spent, held, need, minimum, maximum, close, allowed, place)
         CROSS JOIN LATERAL quota.sync_lease(s.lease, s.budget, s.allowed, $13, s.new, s.sequence, s.granted, s.spent,
           s.held, s.need, s.minimum, s.maximum, s.close, $14 * interval '1 millisecond') AS r
         ORDER BY s.place`,
        [
          syncs.map((sync) => sync.leaseId),
          syncs.map((sync) => sync.budgetId),
          syncs.map((sync) => sync.isNew),
          syncs.map((sync) => sync.sequence),
          syncs.map((sync) => sync.granted),
          syncs.map((sync) => sync.spent),
          syncs.map((sync) => sync.held),
          syncs.map((sync) => sync.need),
          syncs.map((sync) => sync.minimum),
          syncs.map((sync) => sync.maximum),
          syncs.map((sync) => sync.close),
          syncs.map((sync) => sync.limit),
          holder,
          deps.leaseTtlMs,
        ],
      );
      return rows.map(mapSyncRow);
    },
    async readBudgets(budgetIds) {
      const rows = await query<{ id: string; spent: bigint; held: bigint }>(
        `SELECT b.id, b.spent_nanos AS spent, coalesce(sum(l.held_nanos), 0)::bigint AS held
         FROM quota.budgets b LEFT JOIN quota.leases l ON l.budget_id = b.id AND l.open
         WHERE b.id = ANY($1) GROUP BY b.id`,
        [budgetIds],
      );
      return new Map<string, BudgetState>(
        rows.map((row) => [row.id, { spentNanosUsd: row.spent, heldNanosUsd: row.held }]),
      );
    },
    async forwardSettlement(settlement) {
      const { requestId, keyId, leaseIds, costNanosUsd, providerCosts, tokens } = settlement;
      await query(
        `INSERT INTO quota.forwarded_settlements
           (request_id, lease_id, key_id, cost_nanos, tokens, lease_ids, provider_costs)
         SELECT $1, id, $3, $4, $5, $2, $6 FROM quota.leases WHERE id::text = ANY($2) AND open ORDER BY id LIMIT 1
         ON CONFLICT DO NOTHING`,
        [requestId, leaseIds, keyId, costNanosUsd, tokens, JSON.stringify(mapValues(providerCosts, String))],
      );
    },
    async takeForwarded(appliedRequestIds) {
      if (appliedRequestIds.length > 0) {
        await query(
          `DELETE FROM quota.forwarded_settlements f USING quota.leases l
           WHERE l.id = f.lease_id AND l.holder = $1 AND f.request_id = ANY($2)`,
          [holder, appliedRequestIds],
        );
      }
      const rows = await query<ForwardedRow>(
        `SELECT f.request_id, f.key_id, f.lease_ids, f.cost_nanos, f.provider_costs, f.tokens
         FROM quota.forwarded_settlements f JOIN quota.leases l ON l.id = f.lease_id WHERE l.holder = $1 LIMIT 1000`,
        [holder],
      );
      return rows.map(
        (row): ForwardedSettlement => ({
          requestId: row.request_id,
          keyId: row.key_id,
          leaseIds: row.lease_ids,
          costNanosUsd: row.cost_nanos,
          providerCosts: mapValues(row.provider_costs, BigInt),
          tokens: row.tokens,
        }),
      );
    },
    async leasesToReconcile(graceMs, limit) {
      const rows = await query<{ id: string }>(
        `(SELECT id FROM quota.leases WHERE open AND expire_time < clock_timestamp() - $1 * interval '1 millisecond'
          ORDER BY expire_time LIMIT $2)
         UNION ALL
         (SELECT id FROM quota.leases WHERE NOT open AND check_time <= clock_timestamp() ORDER BY check_time LIMIT $2)
         LIMIT $2`,
        [graceMs, limit],
      );
      return rows.map((row) => row.id);
    },
    async reconcileLease(leaseId, ledgerNanosUsd, graceMs) {
      const [row] = await query<{ charged: bigint }>(
        "SELECT charged FROM quota.reconcile_lease($1, $2, $3 * interval '1 millisecond')",
        [leaseId, ledgerNanosUsd, graceMs],
      );
      return row?.charged ?? 0n;
    },
    async expireLeases() {
      await query("UPDATE quota.leases SET expire_time = LEAST(expire_time, clock_timestamp()) WHERE open", []);
    },
  };
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function mapSyncRow(row: SyncRow): LeaseSyncResult {
  switch (row.outcome) {
    case "synced":
      return { kind: "synced", granted: row.granted, room: row.room, extra: row.extra, spent: row.spent };
    case "lost":
      return { kind: "lost" };
    default:
      return { kind: "stale" };
  }
}
