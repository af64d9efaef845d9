import type pg from "pg";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";

/** Makes the partitions of the ledger before they are needed, and drops what is over. */
export interface Partitions {
  /**
   * Makes the partitions of events that lack one. Ids that are no UUIDv7, or of a time that is not plausible, need none.
   * `isStale` says that what was known about partitions turned out to be wrong.
   */
  prepare(events: readonly UsageEvent[], isStale: boolean): Promise<void>;
  /** Makes those of this week and the next two, and drops those whose rows are all older than the retention. */
  maintain(): Promise<{ readonly dropped: number }>;
}

/** What the keeping of partitions works with. */
export interface PartitionsDeps {
  readonly pool: pg.Pool;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** How long rows are kept, in milliseconds. */
  readonly retentionMs: number;
}

const dayMs = 86_400_000;
const weekMs = 7 * dayMs;
/** 1970 began on a Thursday. */
const firstMondayMs = 4 * dayMs;
const weeksAhead = 2;

/** Makes the keeper of the partitions of `accounting.attempts`. */
export function createPartitions(deps: PartitionsDeps): Partitions {
  const { pool, wallClock } = deps;
  let known: Set<number> | undefined;
  // The last week that an event was of: the next one is nearly always of it too.
  let first = "";
  let next = "";

  const load = async (): Promise<Set<number>> => {
    const result = await pool.query<{ relname: string }>(
      String.raw`SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
       WHERE inhparent = 'accounting.attempts'::regclass AND relname ~ '^attempts_\d{8}$'`,
    );
    return new Set(result.rows.map(({ relname }) => parseDay(relname.slice("attempts_".length))));
  };
  const make = async (weeks: Set<number>, mondayMs: number): Promise<void> => {
    const day = new Date(mondayMs).toISOString().slice(0, 10);
    await withTransaction(pool, (client) => client.query("SELECT accounting.make_partition($1)", [day]), {
      idempotent: true,
    });
    weeks.add(mondayMs);
  };

  return {
    async prepare(events, isStale) {
      if (isStale) {
        first = next = "";
        known = undefined;
      }
      for (const { attemptId } of events) {
        if (attemptId >= first && attemptId < next) {
          continue;
        }
        const timeMs = timeOfId(attemptId);
        const nowMs = wallClock();
        const isPlausible = timeMs !== undefined && timeMs > nowMs - deps.retentionMs && timeMs < nowMs + dayMs;
        if (isPlausible) {
          known ??= await load();
          const mondayMs = mondayOf(timeMs);
          if (!known.has(mondayMs)) {
            await make(known, mondayMs);
          }
          first = firstIdOf(mondayMs);
          next = firstIdOf(mondayMs + weekMs);
        }
      }
    },
    async maintain() {
      const weeks = await load();
      const nowMs = wallClock();
      for (let week = 0; week <= weeksAhead; week += 1) {
        const mondayMs = mondayOf(nowMs) + week * weekMs;
        if (!weeks.has(mondayMs)) {
          await make(weeks, mondayMs);
        }
      }
      const dropped = await withTransaction(
        pool,
        async (client) => {
          const result = await client.query<{ dropped: number }>("SELECT accounting.drop_partitions($1) AS dropped", [
            new Date(nowMs - deps.retentionMs),
          ]);
          return result.rows[0]?.dropped ?? 0;
        },
        { idempotent: true },
      );
      known = dropped > 0 ? undefined : weeks;
      first = next = "";
      return { dropped };
    },
  };
}

/** The time in a UUIDv7, in milliseconds since 1970; undefined for other ids. */
function timeOfId(id: string): number | undefined {
  return id[14] === "7" ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined;
}

function firstIdOf(ms: number): string {
  const hex = ms.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

function mondayOf(ms: number): number {
  return Math.floor((ms - firstMondayMs) / weekMs) * weekMs + firstMondayMs;
}

function parseDay(text: string): number {
  return Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8)));
}
