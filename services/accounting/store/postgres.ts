import type pg from "pg";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import { writeEventRow } from "../write-event-row.ts";
import { insertStatement } from "./insert-statement.ts";
import { listRequests } from "./list-requests.ts";
import { type AttemptRow, attemptColumns, mapAttemptRow } from "./map-attempt-row.ts";
import type { Partitions } from "./partitions.ts";
import { EventDataError, type LedgerStore } from "./store.ts";
import { sumUsage } from "./sum-usage.ts";

/** What the ledger in Postgres works with. */
export interface PostgresLedgerDeps {
  readonly pool: pg.Pool;
  readonly partitions: Partitions;
}

const maxRefusals = 3;

/** Makes the ledger in Postgres; the schema `accounting` is migrated. */
export function createPostgresLedgerStore(deps: PostgresLedgerDeps): LedgerStore {
  const { pool, partitions } = deps;

  const insertRows = (events: readonly UsageEvent[]): Promise<number> => {
    const rows = `[${events.map(writeEventRow).join(",")}]`;
    return withTransaction(
      pool,
      async (client) => {
        const result = await client.query<{ inserted: bigint }>({
          name: "accounting insert",
          text: insertStatement,
          values: [rows],
        });
        return Number(result.rows[0]?.inserted ?? 0n);
      },
      { idempotent: true },
    );
  };

  return {
    async insert(events) {
      for (let refusals = 0; ; refusals += 1) {
        await partitions.prepare(events, refusals > 0);
        try {
          return await insertRows(events);
        } catch (error) {
          const code = codeOf(error);
          // A partition was made or dropped meanwhile; or an event is of a time that was dropped, and stays refused.
          if (code === checkViolation && refusals + 1 < maxRefusals) {
            continue;
          }
          if (code === checkViolation) {
            throw new EventDataError("an event cannot be stored", {
              cause: new Error("the attempt is older than what the ledger keeps", { cause: error }),
            });
          }
          // 22 is data, 23 constraints, 54 limits such as the size of a row. Everything else is the database's, not an
          // event's.
          if (/^(22|23|54)/.test(code)) {
            throw new EventDataError("an event cannot be stored", { cause: error });
          }
          throw error;
        }
      }
    },
    async bury(payload, error) {
      await pool.query(
        `INSERT INTO accounting.dead_letters (digest, payload, error)
         VALUES (sha256(convert_to($1, 'UTF8')), $1, $2) ON CONFLICT DO NOTHING`,
        [payload, error],
      );
    },
    sumUsage: (query, limit) => sumUsage(pool, query, limit),
    listRequests: (query) => listRequests(pool, query),
    async getAttempts(requestId) {
      const result = await pool.query<AttemptRow & { ingest_time: Date }>(
        `SELECT ${attemptColumns}, ingest_time FROM accounting.attempts WHERE request_id = $1
         ORDER BY attempt_index, start_time, attempt_id`,
        [requestId],
      );
      return result.rows.map((row) => ({ event: mapAttemptRow(row), ingestTimeMs: row.ingest_time.getTime() }));
    },
    async listCostChanges(attemptIds) {
      const result = await pool.query<ChangeRow>(
        `SELECT attempt_id, change_time, old_cost_nanos, old_price_source, new_cost_nanos, new_price_source, reason,
           actor_key_id
         FROM accounting.cost_changes WHERE attempt_id = ANY($1::uuid[]) ORDER BY change_time, attempt_id LIMIT 1000`,
        [attemptIds],
      );
      return result.rows.map((row) => ({
        attemptId: row.attempt_id,
        timeMs: row.change_time.getTime(),
        oldCostNanosUsd: row.old_cost_nanos,
        oldPriceSource: row.old_price_source,
        newCostNanosUsd: row.new_cost_nanos,
        newPriceSource: row.new_price_source,
        reason: row.reason,
        actorKeyId: row.actor_key_id,
      }));
    },
    async sumLeases(leaseIds) {
      const result = await pool.query<{ lease_id: string; cost_nanos: bigint }>(
        "SELECT lease_id, cost_nanos FROM accounting.lease_costs WHERE lease_id = ANY($1)",
        [leaseIds],
      );
      return new Map(result.rows.map((row) => [row.lease_id, row.cost_nanos]));
    },
    async readNews(position, limit) {
      if (position === undefined) {
        const result = await pool.query<{ position: string }>("SELECT pg_current_snapshot()::text AS position");
        return { position: result.rows[0]?.position ?? "", events: [], isCut: false };
      }
      // A snapshot says exactly which transactions an earlier look has seen, in whichever order they committed. The
      // time keeps out rows of a database that was restored, whose numbers of transactions are of another one.
      const result = await pool.query<AttemptRow & { position: string }>(
        `WITH look AS MATERIALIZED (SELECT pg_current_snapshot()::text AS position)
         SELECT position, news.* FROM look LEFT JOIN LATERAL (
           SELECT ${attemptColumns} FROM accounting.attempts
           WHERE final AND ingest_xid >= pg_snapshot_xmin($1::pg_snapshot)::text::bigint
             AND NOT pg_visible_in_snapshot(ingest_xid::text::xid8, $1::pg_snapshot)
             AND ingest_time > now() - interval '1 hour'
           ORDER BY ingest_xid, attempt_id LIMIT $2
         ) AS news ON true`,
        [position, limit + 1],
      );
      const rows = result.rows.filter((row) => row.attempt_id !== null);
      return {
        position: result.rows[0]?.position ?? position,
        events: rows.slice(0, limit).map(mapAttemptRow),
        isCut: rows.length > limit,
      };
    },
  };
}

interface ChangeRow {
  readonly attempt_id: string;
  readonly change_time: Date;
  readonly old_cost_nanos: bigint;
  readonly old_price_source: string;
  readonly new_cost_nanos: bigint;
  readonly new_price_source: string;
  readonly reason: string;
  readonly actor_key_id: string;
}

/** What Postgres says when no partition takes a row. */
const checkViolation = "23514";

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
