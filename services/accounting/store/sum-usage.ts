import type pg from "pg";
import { OutcomeSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { tokenColumnNames } from "./insert-statement.ts";
import { mapTokenColumns, type TokenColumns } from "./map-attempt-row.ts";
import type { UsageDimension, UsageQuery, UsageSum } from "./store.ts";
import { addFilter, addRolledTagFilter, Where } from "./where.ts";

interface SumRow extends TokenColumns {
  readonly dimensions: readonly string[];
  readonly attempts: bigint;
  readonly requests: bigint;
  readonly cost_nanos: bigint;
}

type Grouping = readonly [
  /** What to group by. */
  expression: string,
  /** The column of a rollup that it needs. */
  column: string,
];

const groupings: { readonly [D in UsageDimension]: Grouping } = {
  key: ["key_id", "key_id"],
  team: ["team_id", "team_id"],
  organization: ["organization_id", "organization_id"],
  user: ["user_id", "user_id"],
  provider: ["provider", "provider"],
  model: ["model", "model"],
  requested_model: ["requested_model", "requested_model"],
  outcome: ["outcome", "outcome"],
  tag: ["tag_value", "tag_value"],
  hour: ["bucket", "bucket"],
  day: ["date_trunc('day', bucket, 'UTC')", "bucket"],
  month: ["date_trunc('month', bucket, 'UTC')", "bucket"],
};

const times: ReadonlySet<UsageDimension> = new Set(["hour", "day", "month"]);
const sumNames = ["attempts", "requests", "estimated_attempts", "cost_nanos", ...tokenColumnNames];
const dayMs = 86_400_000;

/** Sums usage from the rollups: whole days by those of days, the hours before and after by those of hours. */
export async function sumUsage(pool: pg.Pool, query: UsageQuery, limit: number): Promise<readonly UsageSum[]> {
  const where = new Where();
  const source = sourceOf(query, where);
  const expressions = query.groupBy.map((dimension) => groupings[dimension][0]);
  // Texts are made of the groups, not of each row.
  const shown = query.groupBy.map((dimension, index) => show(dimension, expressions[index] ?? ""));
  const sums = sumNames
    .filter((name) => name !== "estimated_attempts")
    .map((name) => `coalesce(sum(${name}), 0)::bigint AS ${name}`);
  const result = await pool.query<SumRow>(
    `SELECT ARRAY[${shown.join(", ")}]::text[] AS dimensions, ${sums.join(", ")},
       coalesce(sum(estimated_attempts), 0) > 0 AS estimated
     FROM (${source}) AS parts
     GROUP BY ${expressions.length === 0 ? "()" : expressions.join(", ")}
     ORDER BY cost_nanos DESC, dimensions LIMIT ${where.value(limit)}`,
    where.values,
  );
  const outcomeAt = query.groupBy.indexOf("outcome");
  return result.rows.map((row) => mapSumRow(row, outcomeAt));
}

function sourceOf(query: UsageQuery, where: Where): string {
  const tagName = query.tagName === "" ? query.filter.tagName : query.tagName;
  addFilter(where, query.filter);
  addRolledTagFilter(where, tagName, query.filter.tagValue);
  const condition = where.text();
  const prefix = tagName === "" ? "rollup_" : "rollup_tag_";
  const columns = [...new Set(query.groupBy.map((dimension) => groupings[dimension][1]))].filter(
    (column) => column !== "bucket",
  );
  const part = (bucket: "hour" | "day", startMs: number, endMs: number): string =>
    `SELECT ${[`${bucket} AS bucket`, ...columns, ...sumNames].join(", ")}
     FROM accounting.${prefix}${bucket === "hour" ? "hourly" : "daily"}
     WHERE ${bucket} >= ${where.value(new Date(startMs))} AND ${bucket} < ${where.value(new Date(endMs))} AND ${condition}`;
  const firstDayMs = Math.ceil(query.startTimeMs / dayMs) * dayMs;
  const endDayMs = Math.floor(query.endTimeMs / dayMs) * dayMs;
  if (query.groupBy.includes("hour") || firstDayMs >= endDayMs) {
    return part("hour", query.startTimeMs, query.endTimeMs);
  }
  const parts = [part("day", firstDayMs, endDayMs)];
  if (query.startTimeMs < firstDayMs) {
    parts.push(part("hour", query.startTimeMs, firstDayMs));
  }
  if (endDayMs < query.endTimeMs) {
    parts.push(part("hour", endDayMs, query.endTimeMs));
  }
  return parts.join(" UNION ALL ");
}

function show(dimension: UsageDimension, expression: string): string {
  return times.has(dimension)
    ? `to_char((${expression}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
    : `${expression}::text`;
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
