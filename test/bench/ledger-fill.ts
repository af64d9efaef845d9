import type pg from "pg";

const days = 30;
const chunkRows = 250_000;

/**
 * Fills a migrated ledger with rows of the last 30 days and their sums: 500 keys of 25 teams in 3 organisations, 12
 * models at 4 providers, of which each key uses three, a tag on every other row, and one model that hardly anybody uses.
 */
export async function fillLedger(
  pool: pg.Pool,
  rows: number,
  onProgress: (rows: number) => void,
): Promise<{ readonly startMs: number; readonly endMs: number }> {
  const endMs = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const startMs = endMs - days * 86_400_000;
  const client = await pool.connect();
  try {
    await client.query("SET statement_timeout = 0; SET synchronous_commit = off; SET work_mem = '256MB'");
    for (let ms = startMs - 7 * 86_400_000; ms <= endMs; ms += 86_400_000) {
      await client.query("SELECT accounting.make_partition(date_trunc('week', $1::timestamptz, 'UTC')::date)", [
        new Date(ms),
      ]);
    }
    for (let first = 0; first < rows; first += chunkRows) {
      const last = Math.min(rows, first + chunkRows) - 1;
      await client.query(insertRows, [first, last, startMs, (endMs - startMs) / rows]);
      onProgress(last + 1);
    }
    for (const [bucket, rollup, source] of [
      ["hour", "hourly", "accounting.attempts"],
      ["day", "daily", "accounting.attempts"],
    ] as const) {
      await client.query(rollUp(bucket, `rollup_${rollup}`, source, ""));
      await client.query(
        rollUp(bucket, `rollup_tag_${rollup}`, `${source}, accounting.rolled_tags(tags)`, ", tag_name, tag_value"),
      );
    }
    await client.query("VACUUM (ANALYZE) accounting.attempts");
    for (const name of ["rollup_hourly", "rollup_daily", "rollup_tag_hourly", "rollup_tag_daily"]) {
      await client.query(`VACUUM (ANALYZE) accounting.${name}`);
    }
  } finally {
    client.release(true);
  }
  return { startMs, endMs };
}

const insertRows = `
INSERT INTO accounting.attempts (
  attempt_id, start_time, request_id, attempt_index, final, key_id, team_id, organization_id, user_id, tags, operation,
  dialect, stream, requested_model, provider, model, outcome, error_reason, finish_reason, http_status,
  uncached_input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cache_write_1h_tokens,
  audio_input_tokens, audio_output_tokens, estimated, cost_nanos, price_source, provider_request_id, total_us)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
  to_timestamp(ms / 1000.0), 'request-' || i, 0, true, 'key-' || key, 'team-' || key % 25,
  'organization-' || key % 25 % 3, 'user-' || key % 300,
  CASE WHEN i % 2 = 0 THEN jsonb_build_object('feature', 'f' || i % 20) ELSE '{}'::jsonb END, 1, 1, false,
  model, provider, model, CASE WHEN i % 50 = 0 THEN 2 WHEN i % 1000 = 7 THEN 3 ELSE 1 END, 0, 1, 200,
  500 + i % 1000, 100, 0, i % 700, 0, 0, 0, 0, false, 1000000 + i % 100000, 'override', 'p-' || i, 900000
FROM (
  SELECT i, ($3::bigint + (i * $4::float8))::bigint AS ms, md5(i::text) AS hash, (i * 7919) % 500 AS key,
    CASE WHEN i % 400001 = 1 THEN 'model-rare' ELSE 'model-' || ((i * 7919) % 500 + i % 3) % 12 END AS model,
    'provider-' || ((i * 7919) % 500 + i % 3) % 4 AS provider
  FROM generate_series($1::bigint, $2::bigint) AS i
) AS made`;

function rollUp(bucket: "hour" | "day", table: string, source: string, more: string): string {
  const dimensions = `key_id, team_id, organization_id, user_id, provider, model, requested_model, outcome${more}`;
  const digest = dimensions.replace("outcome", "outcome::text");
  const sums = [
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
    "cost_nanos",
  ];
  return `INSERT INTO accounting.${table} (${bucket}, dimensions, ${dimensions}, attempts, requests, estimated_attempts,
      ${sums.join(", ")}, max_cost_nanos)
    SELECT date_trunc('${bucket}', start_time, 'UTC'), sha256(convert_to(ARRAY[${digest}]::text, 'UTF8')), ${dimensions},
      count(*), count(*) FILTER (WHERE final), count(*) FILTER (WHERE estimated),
      ${sums.map((name) => `sum(${name})::bigint`).join(", ")}, max(cost_nanos)
    FROM ${source} GROUP BY date_trunc('${bucket}', start_time, 'UTC'), ${dimensions}
    -- As they lie when they come hour by hour.
    ORDER BY 1`;
}
