import type pg from "pg";
import type { RequestQuery } from "./store.ts";
import { addFilter, addRolledTagFilter, Where } from "./where.ts";

/** A time range; milliseconds since 1970, the end left out. */
export interface TimeRange {
  readonly startMs: number;
  readonly endMs: number;
}

/** An hour, or a day with little of it, in which there may be what is asked for. */
export interface BusyHour extends TimeRange {
  /** About how many rows it has; more than are found when a cursor or a least cost leaves some out. */
  readonly count: number;
  /** The keys whose rows they are; undefined when they are many. */
  readonly keyIds: readonly string[] | undefined;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The most keys of an hour or a day that are worth naming. */
const maxKeys = 10;
/** Days looked at together, at most. */
const maxDays = 400;

/**
 * Gives the hours that may have what is asked for, newest first, as the rollups know them: first which days, and for as
 * many of those as may be enough, which hours. The caller stops when it has enough.
 */
export async function* busyHours(pool: pg.Pool, query: RequestQuery): AsyncGenerator<readonly BusyHour[]> {
  const cursorMs = query.after === undefined ? Number.POSITIVE_INFINITY : Number(query.after.startTimeUs / 1_000n) + 1;
  let endMs = Math.min(query.endTimeMs ?? Number.POSITIVE_INFINITY, cursorMs);
  // Sums are kept for longer than rows.
  const kept = await pool.query<{ oldest: Date | null }>("SELECT min(start_time) AS oldest FROM accounting.attempts");
  const oldestMs = kept.rows[0]?.oldest?.getTime() ?? Number.POSITIVE_INFINITY;
  const first = Math.floor(Math.max(query.startTimeMs ?? 0, oldestMs) / dayMs) * dayMs;
  while (first < endMs) {
    const days = await busyBuckets(pool, query, "day", [{ startMs: first, endMs }]);
    for (let at = 0; at < days.length; ) {
      const chunk: BusyHour[] = [];
      for (let expected = 0; at < days.length && expected < query.limit; at += 1) {
        const day = days[at];
        if (day !== undefined) {
          chunk.push(day);
          expected += day.count;
        }
      }
      if (!query.allAttempts && chunk.every((day) => day.keyIds !== undefined)) {
        // The days of a few keys are read as they are: an index finds them.
        yield chunk;
      } else {
        const hours = await busyBuckets(pool, query, "hour", joinRanges(chunk));
        yield hours.filter((hour) => hour.startMs < endMs);
      }
    }
    const last = days.at(-1);
    if (last === undefined || days.length < maxDays) {
      return;
    }
    endMs = last.startMs;
  }
}

/** Joins ranges, newest first, that touch. */
export function joinRanges(ranges: readonly TimeRange[]): readonly TimeRange[] {
  const joined: TimeRange[] = [];
  for (const { startMs, endMs } of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && last.startMs === endMs) {
      joined[joined.length - 1] = { startMs, endMs: last.endMs };
    } else {
      joined.push({ startMs, endMs });
    }
  }
  return joined;
}

async function busyBuckets(
  pool: pg.Pool,
  query: RequestQuery,
  bucket: "hour" | "day",
  ranges: readonly TimeRange[],
): Promise<readonly BusyHour[]> {
  const where = new Where();
  const { filter } = query;
  const times = ranges.map(({ startMs, endMs }) => {
    const from = `${bucket} >= ${where.value(new Date(startMs))}`;
    return Number.isFinite(endMs) ? `(${from} AND ${bucket} < ${where.value(new Date(endMs))})` : from;
  });
  where.add(`(${times.join(" OR ")})`);
  addFilter(where, filter);
  addRolledTagFilter(where, filter.tagName, filter.tagValue);
  const counted = query.allAttempts ? "attempts" : "requests";
  where.add(`${counted} > 0`);
  if (query.minCostNanosUsd > 0n) {
    where.add(`max_cost_nanos >= ${where.value(query.minCostNanosUsd)}`);
  }
  const table = `accounting.rollup_${filter.tagName === "" ? "" : "tag_"}${bucket === "hour" ? "hourly" : "daily"}`;
  const keys = `CASE WHEN count(*) <= ${maxKeys} THEN array_agg(DISTINCT key_id) END`;
  const result = await pool.query<{ start_time: Date; count: bigint; key_ids: readonly string[] | null }>(
    `SELECT ${bucket} AS start_time, sum(${counted})::bigint AS count, ${keys} AS key_ids FROM ${table}
     WHERE ${where.text()} GROUP BY ${bucket} ORDER BY ${bucket} DESC${bucket === "day" ? ` LIMIT ${maxDays}` : ""}`,
    where.values,
  );
  const lengthMs = bucket === "day" ? dayMs : hourMs;
  return result.rows.map((row) => {
    const startMs = row.start_time.getTime();
    return { startMs, endMs: startMs + lengthMs, count: Number(row.count), keyIds: row.key_ids ?? undefined };
  });
}
