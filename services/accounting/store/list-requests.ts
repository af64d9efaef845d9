import type pg from "pg";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { type BusyHour, busyHours, joinRanges, type TimeRange } from "./busy-hours.ts";
import { type AttemptRow, attemptColumns, mapAttemptRow } from "./map-attempt-row.ts";
import type { RequestQuery } from "./store.ts";
import { addFilter, addTagFilter, Where } from "./where.ts";

/** How many of the newest rows are looked through before the rollups are asked where to look. */
const probeRows = 5_000;
const order = "ORDER BY start_time DESC, attempt_id DESC";

/**
 * Lists events, newest first. What an index finds is read from it. For other filters the newest rows are tried first;
 * when they have too few, the rollups, which know in which hours there is something, say which hours to read.
 */
export async function listRequests(pool: pg.Pool, query: RequestQuery): Promise<readonly UsageEvent[]> {
  if (query.requestId !== "" || !needsSearch(query)) {
    const where = placeOf(query);
    addAll(where, query);
    return readRows(pool, `accounting.attempts WHERE ${where.text()}`, query.limit, where);
  }
  const near = await probe(pool, query);
  if (near.length >= query.limit) {
    return near;
  }
  const events: UsageEvent[] = [];
  for await (const hours of busyHours(pool, query)) {
    for (let at = 0; at < hours.length && events.length < query.limit; ) {
      const limit = query.limit - events.length;
      const chunk: BusyHour[] = [];
      for (let expected = 0; at < hours.length && expected < limit; at += 1) {
        const hour = hours[at];
        if (hour !== undefined) {
          chunk.push(hour);
          expected += hour.count;
        }
      }
      events.push(...(await readHours(pool, query, chunk, limit)));
    }
    if (events.length >= query.limit) {
      break;
    }
  }
  return events;
}

function needsSearch({ filter, minCostNanosUsd }: RequestQuery): boolean {
  const { userId, provider, model, requestedModel, tagName } = filter;
  return (
    minCostNanosUsd > 0n ||
    filter.outcome !== undefined ||
    [userId, provider, model, requestedModel, tagName].some((value) => value !== "")
  );
}

/** What is found among the newest rows of the scope. */
function probe(pool: pg.Pool, query: RequestQuery): Promise<readonly UsageEvent[]> {
  const where = placeOf(query);
  const { organizationId, teamId, keyId } = query.filter;
  const scope = {
    userId: "",
    provider: "",
    model: "",
    requestedModel: "",
    outcome: undefined,
    tagName: "",
    tagValue: "",
  };
  addFilter(where, { ...scope, organizationId, teamId, keyId });
  const newest = `SELECT * FROM accounting.attempts WHERE ${where.text()} ${order} LIMIT ${probeRows}`;
  const search = where.more();
  addAll(search, query);
  return readRows(pool, `(${newest}) AS newest WHERE ${search.text()}`, query.limit, search);
}

/** What is found in hours, each read from an index and nothing between them: of the keys that are named, if they are. */
function readHours(
  pool: pg.Pool,
  query: RequestQuery,
  hours: readonly BusyHour[],
  limit: number,
): Promise<readonly UsageEvent[]> {
  const where = placeOf(query);
  const named = hours.every((hour) => hour.keyIds !== undefined) && !query.allAttempts;
  const ranges: readonly (TimeRange & { readonly keyId?: string })[] = named
    ? hours.flatMap((hour) => (hour.keyIds ?? []).map((keyId) => ({ ...hour, keyId })))
    : joinRanges(hours);
  const starts = where.value(ranges.map((range) => new Date(range.startMs)));
  const ends = where.value(ranges.map((range) => new Date(range.endMs)));
  const keys = where.value(ranges.map((range) => range.keyId ?? ""));
  where.add("start_time >= range_start AND start_time < range_end");
  if (named) {
    where.add("key_id = range_key");
  }
  addAll(where, query);
  const each = `SELECT * FROM accounting.attempts WHERE ${where.text()} ${order} LIMIT ${where.value(limit)}`;
  return readRows(
    pool,
    `unnest(${starts}::timestamptz[], ${ends}::timestamptz[], ${keys}::text[]) AS ranges(range_start, range_end, range_key)
     CROSS JOIN LATERAL (${each}) AS found`,
    limit,
    where,
  );
}

async function readRows(pool: pg.Pool, from: string, limit: number, where: Where): Promise<readonly UsageEvent[]> {
  const text = `SELECT ${attemptColumns} FROM ${from} ${order} LIMIT ${where.value(limit)}`;
  return (await pool.query<AttemptRow>(text, where.values)).rows.map(mapAttemptRow);
}

/** The conditions that say in which part of the list to look. */
function placeOf(query: RequestQuery): Where {
  const where = new Where();
  if (!query.allAttempts) {
    where.add("final");
  }
  if (query.startTimeMs !== undefined) {
    where.add(`start_time >= ${where.value(new Date(query.startTimeMs))}`);
  }
  if (query.endTimeMs !== undefined) {
    where.add(`start_time < ${where.value(new Date(query.endTimeMs))}`);
  }
  if (query.after !== undefined) {
    const time = `timestamptz 'epoch' + ${where.value(query.after.startTimeUs)}::bigint * interval '1 microsecond'`;
    where.add(`(start_time, attempt_id) < (${time}, ${where.value(query.after.attemptId)}::uuid)`);
  }
  if (query.requestId !== "") {
    where.add(`request_id = ${where.value(query.requestId)}`);
  }
  return where;
}

function addAll(where: Where, query: RequestQuery): void {
  addFilter(where, query.filter);
  addTagFilter(where, query.filter);
  if (query.minCostNanosUsd > 0n) {
    where.add(`cost_nanos >= ${where.value(query.minCostNanosUsd)}`);
  }
}
