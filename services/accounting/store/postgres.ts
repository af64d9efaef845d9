import type pg from "pg";
import { OutcomeSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import { writeEventRow } from "../write-event-row.ts";
import { insertStatement } from "./insert-statement.ts";
import {
  type AttemptRow,
  attemptColumns,
  mapAttemptRow,
  mapTokenColumns,
  type TokenColumns,
} from "./map-attempt-row.ts";
import { EventDataError, type LedgerStore, type UsageDimension, type UsageSum } from "./store.ts";

interface SumRow extends TokenColumns {
  readonly dimensions: readonly string[];
  readonly attempts: bigint;
  readonly requests: bigint;
  readonly cost_nanos: bigint;
}

const dimensionColumns: { readonly [D in UsageDimension]: string } = {
  key: "key_id",
  team: "team_id",
  organization: "organization_id",
  provider: "provider",
  model: "model",
  requested_model: "requested_model",
  outcome: "outcome::text",
  hour: `to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`,
  day: `to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"00:00:00"Z"')`,
};

const tokenSums = [
  "uncached_input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cache_write_1h_tokens",
  "audio_input_tokens",
  "audio_output_tokens",
  "image_input_tokens",
  "image_output_tokens",
]
  .map((name) => `coalesce(sum(${name}), 0)::bigint AS ${name}`)
  .join(", ");

/** Makes the ledger in Postgres; the schema `accounting` is migrated. */
export function createPostgresLedgerStore(deps: { readonly pool: pg.Pool }): LedgerStore {
  const { pool } = deps;
  return {
    async insert(events) {
      const rows = `[${events.map(writeEventRow).join(",")}]`;
      try {
        return await withTransaction(
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
      } catch (error) {
        if (isDataError(error)) {
          throw new EventDataError("an event cannot be stored", { cause: error });
        }
        throw error;
      }
    },
    async bury(event, error) {
      // Not proto3 JSON, which refuses some of what makes an event one that cannot be stored.
      const payload = JSON.stringify(event, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
      await pool.query(
        `INSERT INTO accounting.dead_letters (digest, payload, error)
         VALUES (sha256(convert_to($1, 'UTF8')), $1, $2) ON CONFLICT DO NOTHING`,
        [payload, error],
      );
    },
    async sumUsage(query, limit) {
      const dimensions = query.groupBy.map((dimension) => dimensionColumns[dimension]);
      const result = await pool.query<SumRow>(
        `SELECT ARRAY[${dimensions.join(", ")}]::text[] AS dimensions, coalesce(sum(attempts), 0)::bigint AS attempts,
           coalesce(sum(requests), 0)::bigint AS requests, ${tokenSums},
           coalesce(sum(estimated_attempts), 0) > 0 AS estimated, coalesce(sum(cost_nanos), 0)::bigint AS cost_nanos
         FROM accounting.rollup_hourly
         WHERE hour >= $1 AND hour < $2 AND ($3 = '' OR key_id = $3) AND ($4 = '' OR team_id = $4)
         GROUP BY ${dimensions.length === 0 ? "()" : dimensions.join(", ")}
         ORDER BY cost_nanos DESC, dimensions LIMIT $5`,
        [new Date(query.startTimeMs), new Date(query.endTimeMs), query.keyId, query.teamId, limit],
      );
      const outcomeAt = query.groupBy.indexOf("outcome");
      return result.rows.map((row) => mapSumRow(row, outcomeAt));
    },
    async listRequests(query) {
      const result = await pool.query<AttemptRow>(
        `SELECT ${attemptColumns} FROM accounting.attempts
         WHERE final AND ($1 = '' OR key_id = $1) AND ($2 = 0 OR outcome = $2) AND ($3 = '' OR requested_model = $3)
           AND ($4::bigint IS NULL OR
             (start_time, attempt_id) < (timestamptz 'epoch' + $4 * interval '1 microsecond', $5::uuid))
         ORDER BY start_time DESC, attempt_id DESC LIMIT $6`,
        [
          query.keyId,
          query.outcome ?? 0,
          query.requestedModel,
          query.after?.startTimeUs,
          query.after?.attemptId,
          query.limit,
        ],
      );
      return result.rows.map(mapAttemptRow);
    },
    async getAttempts(requestId) {
      const result = await pool.query<AttemptRow>(
        `SELECT ${attemptColumns} FROM accounting.attempts WHERE request_id = $1
         ORDER BY attempt_index, start_time, attempt_id`,
        [requestId],
      );
      return result.rows.map(mapAttemptRow);
    },
    async sumLeases(leaseIds) {
      const result = await pool.query<{ lease_id: string; cost_nanos: bigint }>(
        "SELECT lease_id, cost_nanos FROM accounting.lease_costs WHERE lease_id = ANY($1)",
        [leaseIds],
      );
      return new Map(result.rows.map((row) => [row.lease_id, row.cost_nanos]));
    },
  };
}

function isDataError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  // 22 is data, 23 constraints, 54 limits such as the size of a row. Everything else is the database's, not an event's.
  return code.startsWith("22") || code.startsWith("23") || code.startsWith("54");
}

function mapSumRow(row: SumRow, outcomeAt: number): UsageSum {
  return {
    dimensions: row.dimensions.map((value, index) => (index === outcomeAt ? outcomeName(Number(value)) : value)),
    attempts: row.attempts,
    requests: row.requests,
    usage: mapTokenColumns(row),
    costNanosUsd: row.cost_nanos,
  };
}

function outcomeName(value: number): string {
  return OutcomeSchema.values.find((each) => each.number === value)?.name ?? `OUTCOME_${value}`;
}
