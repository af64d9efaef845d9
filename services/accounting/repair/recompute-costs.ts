import type pg from "pg";
import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import { pricesOfOperation } from "#kit/pricing/operation-prices.ts";
import { priceUsage } from "#kit/pricing/price-usage.ts";
import { rollUpSteps } from "../store/insert-statement.ts";
import { type AttemptRow, attemptColumns, mapAttemptRow } from "../store/map-attempt-row.ts";

/** Whose costs to compute again, and from what. */
export interface RecomputeQuery {
  /** Milliseconds since 1970. */
  readonly startTimeMs: number;
  /** The moment after the last. */
  readonly endTimeMs: number;
  readonly provider: string;
  readonly model: string;
  readonly prices: TokenPrices;
  readonly reason: string;
  /** Who corrects; empty for a service of the mesh. */
  readonly actorKeyId: string;
  readonly isDryRun: boolean;
}

/** What was looked at and what changed, or would. Costs are in nano-US-dollars. */
export interface RecomputeResult {
  readonly attempts: number;
  readonly changed: number;
  readonly oldCost: bigint;
  readonly newCost: bigint;
}

const pageSize = 500;

/** A step of the work; each is a transaction of its own. */
interface Page extends RecomputeResult {
  readonly last: { readonly startUs: bigint; readonly attemptId: string } | undefined;
}

/**
 * Prices attempts again, page by page, each in a transaction that corrects rows and all their sums by the difference and
 * keeps what was before. What has the right cost and source is left alone, so a part that is done again changes nothing.
 */
export async function recomputeCosts(
  pool: pg.Pool,
  query: RecomputeQuery,
  signal: AbortSignal,
): Promise<RecomputeResult> {
  let total: RecomputeResult = { attempts: 0, changed: 0, oldCost: 0n, newCost: 0n };
  let last: Page["last"];
  do {
    signal.throwIfAborted();
    const page: Page = await withTransaction(pool, (client) => recomputePage(client, query, last), {
      idempotent: true,
      signal,
    });
    total = {
      attempts: total.attempts + page.attempts,
      changed: total.changed + page.changed,
      oldCost: total.oldCost + page.oldCost,
      newCost: total.newCost + page.newCost,
    };
    ({ last } = page);
  } while (last !== undefined);
  return total;
}

async function recomputePage(client: pg.PoolClient, query: RecomputeQuery, after: Page["last"]): Promise<Page> {
  if (!query.isDryRun) {
    // Two of these that cross would wait for each other's rows.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended('penstock accounting recompute', 0))");
  }
  const found = await client.query<AttemptRow>(
    `SELECT ${attemptColumns} FROM accounting.attempts
     WHERE start_time >= $1 AND start_time < $2 AND provider = $3 AND model = $4 AND outcome <> $5
       AND ($6::bigint IS NULL OR
         (start_time, attempt_id) < (timestamptz 'epoch' + $6 * interval '1 microsecond', $7::uuid))
     ORDER BY start_time DESC, attempt_id DESC LIMIT $8`,
    [
      new Date(query.startTimeMs),
      new Date(query.endTimeMs),
      query.provider,
      query.model,
      // What came from the cache cost nothing, whatever the prices.
      Outcome.CACHE_HIT,
      after?.startUs,
      after?.attemptId,
      pageSize,
    ],
  );
  const priced = found.rows.map((row) => ({ row, ...priceOf(row, query.prices) }));
  const changed = priced.filter(({ row, cost, source }) => row.cost_nanos !== cost || row.price_source !== source);
  if (!query.isDryRun && changed.length > 0) {
    await client.query(correctStatement, [
      JSON.stringify(changed.map(({ row, cost, source }) => ({ id: row.attempt_id, cost: String(cost), src: source }))),
      query.reason,
      query.actorKeyId,
    ]);
  }
  const end = found.rows.length < pageSize ? undefined : found.rows.at(-1);
  return {
    attempts: priced.length,
    changed: changed.length,
    oldCost: priced.reduce((sum, { row }) => sum + row.cost_nanos, 0n),
    newCost: priced.reduce((sum, { cost }) => sum + cost, 0n),
    last: end === undefined ? undefined : { startUs: end.start_us, attemptId: end.attempt_id },
  };
}

/** What a row should have. An attempt that used nothing was not billed, not even for the request: it stays as it is. */
function priceOf(row: AttemptRow, prices: TokenPrices): { readonly cost: bigint; readonly source: string } {
  const event = mapAttemptRow(row);
  const { usage } = event;
  const isUsed = usage !== undefined && usage.uncachedInputTokens + usage.cacheReadTokens + usage.outputTokens > 0n;
  if (usage === undefined || (!isUsed && event.outcome !== Outcome.SUCCEEDED)) {
    return { cost: row.cost_nanos, source: row.price_source };
  }
  const applied = pricesOfOperation(event.operation, prices) ?? prices;
  return { cost: priceUsage(applied, usage), source: applied.source };
}

/** Rows are locked in order of their ids, then the rollups as every insert locks them. */
const correctStatement = `
WITH input AS (
  SELECT * FROM json_to_recordset($1::json) AS t(id uuid, cost bigint, src text)
), before AS (
  SELECT attempts.* FROM accounting.attempts JOIN input ON id = attempt_id ORDER BY attempt_id FOR UPDATE OF attempts
), corrected AS (
  UPDATE accounting.attempts AS a SET cost_nanos = input.cost, price_source = input.src
  FROM input, before WHERE a.attempt_id = input.id AND before.attempt_id = input.id
  RETURNING a.start_time, a.key_id, a.team_id, a.organization_id, a.user_id, a.provider, a.model, a.requested_model,
    a.outcome, a.tags, a.attempt_id, a.cost_nanos - before.cost_nanos AS cost_nanos, before.cost_nanos AS old_cost,
    before.price_source AS old_source, a.cost_nanos AS new_cost, a.price_source AS new_source
), noted AS (
  INSERT INTO accounting.cost_changes (attempt_id, old_cost_nanos, old_price_source, new_cost_nanos, new_price_source,
    reason, actor_key_id)
  SELECT attempt_id, old_cost, old_source, new_cost, new_source, $2::text, $3::text FROM corrected
), ${rollUpSteps("corrected", "correct")}
SELECT count(*) FROM corrected`;
