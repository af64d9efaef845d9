import type pg from "pg";
import { AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { AlertsConfig } from "../config.ts";
import type { StoredAlert } from "./alert-store.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const unpricedWindowMs = 600_000;

/** Looks into the ledger for what people should know now: failing providers, and models that are used without a price. */
export async function findAlerts(pool: pg.Pool, config: AlertsConfig, nowMs: number): Promise<readonly StoredAlert[]> {
  return [...(await findErrorRates(pool, config.error_rate, nowMs)), ...(await findUnpricedModels(pool, nowMs))];
}

/** One alert a provider and hour, however long it goes on within it. */
async function findErrorRates(
  pool: pg.Pool,
  limits: AlertsConfig["error_rate"],
  nowMs: number,
): Promise<readonly StoredAlert[]> {
  // What a provider refuses because the caller asked for nonsense is no failure of the provider's.
  const result = await pool.query<{ provider: string; attempts: bigint; failed: bigint }>(
    `SELECT provider, attempts, failed FROM (
       SELECT provider, count(*) AS attempts, count(*) FILTER (WHERE outcome = ANY($2::smallint[])
         AND (http_status < 400 OR http_status >= 500 OR http_status IN (401, 403, 408, 429))) AS failed
       FROM accounting.attempts WHERE start_time >= $1 AND provider <> '' GROUP BY provider
     ) AS counted WHERE attempts >= $3 AND failed > attempts * $4::float8 ORDER BY provider LIMIT 100`,
    [new Date(nowMs - limits.window), [Outcome.FAILED, Outcome.TRUNCATED], limits.min_attempts, limits.share],
  );
  return result.rows.map(({ provider, attempts, failed }) => ({
    dedupeKey: `error_rate/${provider}/${Math.floor(nowMs / hourMs)}`,
    kind: "error_rate",
    severity: AlertSeverity.CRITICAL,
    title: `${provider} fails`,
    text: `${failed} of the last ${attempts} attempts at ${provider} failed, within ${limits.window / 1_000} seconds.`,
    labels: { provider, attempts: String(attempts), failed: String(failed) },
    timeMs: nowMs,
  }));
}

/** One alert a model and UTC day. */
async function findUnpricedModels(pool: pg.Pool, nowMs: number): Promise<readonly StoredAlert[]> {
  const result = await pool.query<{ provider: string; model: string; attempts: bigint }>(
    `SELECT provider, model, count(*) AS attempts FROM accounting.attempts
     WHERE start_time >= $1 AND provider <> '' AND price_source = '' AND outcome = ANY($2::smallint[])
     GROUP BY provider, model ORDER BY attempts DESC LIMIT 100`,
    [new Date(nowMs - unpricedWindowMs), [Outcome.SUCCEEDED, Outcome.TRUNCATED, Outcome.CLIENT_CLOSED]],
  );
  return result.rows.map(({ provider, model, attempts }) => ({
    dedupeKey: `unpriced_model/${provider}/${model}/${Math.floor(nowMs / dayMs)}`.slice(0, 500),
    kind: "unpriced_model",
    severity: AlertSeverity.WARNING,
    title: `${provider}/${model} has no price`,
    text:
      `${attempts} attempts of the last ten minutes cost nothing in the ledger because the price is not known. ` +
      "Set one under prices.overrides, then recompute the costs.",
    labels: { provider, model },
    timeMs: nowMs,
  }));
}
