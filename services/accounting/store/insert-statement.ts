/** The token columns of attempts and rollups. */
export const tokenColumnNames = [
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
] as const;

const summed = [...tokenColumnNames, "cost_nanos"];
const counted = ["attempts", "requests", "estimated_attempts"];
const dimensions = [
  "key_id",
  "team_id",
  "organization_id",
  "user_id",
  "provider",
  "model",
  "requested_model",
  "outcome",
] as const;
const names = dimensions.join(", ");
const tagNames = "tag_name, tag_value";
const estimated = "count(*) FILTER (WHERE estimated)";
const rolledUp = [...counted, ...summed];
const dearest = "max_cost_nanos";

/**
 * Adds rows, given as one JSON array of writeEventRow, and their sums; returns one row with `inserted`.
 *
 * Rollups are updated from the rows that were really inserted. Attempts and then each rollup are locked in sorted order,
 * and the rollups always in the same order, so that two of these never wait for each other in a circle.
 */
export const insertStatement = `
WITH input AS (
  SELECT * FROM json_to_recordset($1::json) AS t(
    id uuid, req text, idx integer, k text, t text, o text, tags jsonb, op smallint, dia smallint, str boolean, rm text,
    p text, m text, out smallint, err smallint, http integer, ui bigint, cr bigint, cw bigint, ot bigint, rt bigint,
    cw1 bigint, ai bigint, ao bigint, ii bigint, io bigint, est boolean, cost bigint, src text, lease text[], u text,
    fin smallint, prid text, st bigint, ft bigint, tt bigint, final boolean)
), inserted AS (
  INSERT INTO accounting.attempts (
    attempt_id, start_time, request_id, attempt_index, final, key_id, team_id, organization_id, tags, operation, dialect,
    stream, requested_model, provider, model, outcome, error_reason, finish_reason, http_status, uncached_input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cache_write_1h_tokens, audio_input_tokens,
    audio_output_tokens, image_input_tokens, image_output_tokens, estimated, cost_nanos, price_source, lease_ids,
    user_id, provider_request_id, first_token_us, total_us)
  SELECT id, timestamptz 'epoch' + st * interval '1 microsecond', coalesce(req, ''), coalesce(idx, 0),
    coalesce(final, false), coalesce(k, ''), coalesce(t, ''), coalesce(o, ''), coalesce(tags, '{}'), coalesce(op, 0),
    coalesce(dia, 0), coalesce(str, false), coalesce(rm, ''), coalesce(p, ''), coalesce(m, ''), coalesce(out, 0),
    coalesce(err, 0), coalesce(fin, 0), coalesce(http, 0), coalesce(ui, 0), coalesce(cr, 0), coalesce(cw, 0),
    coalesce(ot, 0), coalesce(rt, 0), coalesce(cw1, 0), coalesce(ai, 0), coalesce(ao, 0), coalesce(ii, 0),
    coalesce(io, 0), coalesce(est, false),
    coalesce(cost, 0), coalesce(src, ''), coalesce(lease, '{}'), coalesce(u, ''), coalesce(prid, ''), ft, tt
  FROM input ORDER BY id
  ON CONFLICT (attempt_id) DO NOTHING
  RETURNING *
), ${rollUpSteps("inserted", "raise")},
  leased AS (
  INSERT INTO accounting.lease_costs AS l (lease_id, cost_nanos)
  SELECT lease_id, sum(cost_nanos)::bigint FROM inserted, unnest(lease_ids) AS lease_id
  GROUP BY lease_id ORDER BY lease_id
  ON CONFLICT (lease_id) DO UPDATE SET
    cost_nanos = l.cost_nanos + EXCLUDED.cost_nanos, change_time = clock_timestamp()
)
SELECT count(*) AS inserted FROM inserted`;

/**
 * The steps of a statement that add attempts, from an earlier step, to all rollups. `raise` counts them and all that they
 * used; `correct` takes their cost_nanos as a difference and new_cost as what they cost now, and changes nothing else.
 */
export function rollUpSteps(source: string, mode: "raise" | "correct"): string {
  const tagged = `(SELECT * FROM ${source} WHERE tags <> '{}') AS tagged, accounting.rolled_tags(tags)`;
  return `${rollUp("", source, names, mode)},
  ${rollUp("tag_", tagged, `${names}, ${tagNames}`, mode)}`;
}

function rollUp(prefix: "" | "tag_", source: string, columns: string, mode: "raise" | "correct"): string {
  const digest = columns
    .split(", ")
    .map((name) => (name === "outcome" ? "outcome::text" : name))
    .join(", ");
  const counts = { attempts: "count(*)", requests: "count(*) FILTER (WHERE final)", estimated_attempts: estimated };
  const sums = [
    ...Object.entries(counts).map(([name, count]) => `${mode === "raise" ? count : "0::bigint"} AS ${name}`),
    ...summed.map(
      (name) => `${mode === "raise" || name === "cost_nanos" ? `sum(${name})::bigint` : "0::bigint"} AS ${name}`,
    ),
    `max(${mode === "raise" ? "cost_nanos" : "new_cost"}) AS ${dearest}`,
  ];
  return `${prefix}sums AS (
  SELECT date_trunc('hour', start_time, 'UTC') AS hour, ${columns}, ${sums.join(", ")}
  FROM ${source} GROUP BY hour, ${columns}
), ${prefix}keyed AS (
  SELECT *, sha256(convert_to(ARRAY[${digest}]::text, 'UTF8')) AS dimensions FROM ${prefix}sums
), ${prefix}days AS (
  SELECT date_trunc('day', hour, 'UTC') AS day, dimensions, ${columns},
    ${rolledUp.map((name) => `sum(${name})::bigint AS ${name}`).join(", ")}, max(${dearest}) AS ${dearest}
  FROM ${prefix}keyed GROUP BY day, dimensions, ${columns}
), ${prefix}hourly AS (
  ${addTo(`${prefix}hourly`, "hour", columns, `${prefix}keyed`)}
), ${prefix}daily AS (
  ${addTo(`${prefix}daily`, "day", columns, `${prefix}days`)}
)`;
}

function addTo(rollup: string, bucket: "hour" | "day", columns: string, source: string): string {
  const all = `${bucket}, dimensions, ${columns}, ${rolledUp.join(", ")}, ${dearest}`;
  return `INSERT INTO accounting.rollup_${rollup} AS r (${all})
  SELECT ${all} FROM ${source} ORDER BY ${bucket}, dimensions
  ON CONFLICT (${bucket}, dimensions) DO UPDATE SET
    ${rolledUp.map((name) => `${name} = r.${name} + EXCLUDED.${name}`).join(", ")},
    ${dearest} = greatest(r.${dearest}, EXCLUDED.${dearest})`;
}
