import type pg from "pg";
import { readDeadLetter } from "../dead-letter-payload.ts";
import { ingestEvents } from "../ingest.ts";
import type { LedgerStore } from "../store/store.ts";

/** An event that is not in the ledger because it could not be. */
export interface DeadLetterRow {
  /** SHA-256 of the payload in hexadecimal digits. */
  readonly id: string;
  readonly payload: string;
  readonly error: string;
  /** Microseconds since 1970. */
  readonly createTimeUs: bigint;
}

/** Where a page of dead letters begins. */
export interface DeadLetterCursor {
  readonly createTimeUs: bigint;
  readonly id: string;
}

const columns = `encode(digest, 'hex') AS id, payload, error, (extract(epoch FROM create_time) * 1000000)::bigint AS us`;

interface Row {
  readonly id: string;
  readonly payload: string;
  readonly error: string;
  readonly us: bigint;
}

/** Dead letters, newest first. */
export async function listDeadLetters(
  pool: pg.Pool,
  limit: number,
  after: DeadLetterCursor | undefined,
): Promise<readonly DeadLetterRow[]> {
  const result = await pool.query<Row>(
    `SELECT ${columns} FROM accounting.dead_letters
     WHERE $2::bigint IS NULL OR (create_time, digest) < (timestamptz 'epoch' + $2 * interval '1 microsecond', decode($3, 'hex'))
     ORDER BY create_time DESC, digest DESC LIMIT $1`,
    [limit, after?.createTimeUs, after?.id],
  );
  return result.rows.map(mapRow);
}

/** Dead letters by their ids, or the oldest of all. */
export async function findDeadLetters(
  pool: pg.Pool,
  which: { readonly ids: readonly string[] } | { readonly oldest: number },
): Promise<readonly DeadLetterRow[]> {
  const result =
    "ids" in which
      ? await pool.query<Row>(
          `SELECT ${columns} FROM accounting.dead_letters WHERE digest IN (SELECT decode(id, 'hex') FROM unnest($1::text[]) AS id)`,
          [which.ids],
        )
      : await pool.query<Row>(`SELECT ${columns} FROM accounting.dead_letters ORDER BY create_time, digest LIMIT $1`, [
          which.oldest,
        ]);
  return result.rows.map(mapRow);
}

/**
 * Adds a dead letter, or what it was repaired to, to the ledger; then it is none any more. Says why when it cannot be.
 * Between the two steps it may be found in both: replaying it again counts nothing.
 */
export async function replayDeadLetter(
  pool: pg.Pool,
  store: LedgerStore,
  letter: DeadLetterRow,
  repaired: string | undefined,
): Promise<string | undefined> {
  const read = readDeadLetter(repaired ?? letter.payload);
  if (read.event === undefined) {
    return read.problem;
  }
  let problem: string | undefined;
  const { buried } = await ingestEvents(
    {
      ...store,
      // It is a dead letter already, under its own name.
      bury(_payload, error) {
        problem = error;
        return Promise.resolve();
      },
    },
    [read.event],
  );
  if (buried > 0) {
    return problem ?? "the event cannot be stored";
  }
  await pool.query("DELETE FROM accounting.dead_letters WHERE digest = decode($1, 'hex')", [letter.id]);
  return undefined;
}

function mapRow({ us, ...row }: Row): DeadLetterRow {
  return { ...row, createTimeUs: us };
}
