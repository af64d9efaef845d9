import pg from "pg";

const int8 = 20;
const int8Array = 1016;

/** Settings of a pool. */
export interface PoolOptions {
  /** postgres://user:password@host:port/database, as openPostgres gives it. */
  readonly url: string;
  /** Shown by the server as application_name. */
  readonly name: string;
  /** The most connections. 10 unless given. */
  readonly max?: number;
}

/**
 * Makes a pool of connections that survives its server going away.
 *
 * bigint columns and bigint arrays come back as bigint. A statement ends after 30 s, waiting for a lock after 5 s, and
 * waiting for a connection after 10 s. Connects when first used; the caller ends it.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.name,
    max: options.max ?? 10,
    statement_timeout: 30_000,
    lock_timeout: 5_000,
    idle_in_transaction_session_timeout: 60_000,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    types: { getTypeParser },
  });
  // An error of an idle connection is raised on the pool, which has already dropped that connection; the next query
  // opens another. Without a listener the process would end.
  pool.on("error", ignoreDropped);
  // pg takes its own listener away while a connection is checked out: an error between two queries of a transaction
  // would end the process. The next query on that connection reports it.
  pool.on("connect", (client) => client.on("error", ignoreDropped));
  return pool;
}

function ignoreDropped(): void {}

const getTypeParser: typeof pg.types.getTypeParser = (...args: Parameters<typeof pg.types.getTypeParser>) => {
  const [oid, format] = args;
  if (format !== "binary") {
    // pg passes any oid, its own type lists only scalars.
    const id: number = oid;
    if (id === int8) {
      return BigInt;
    }
    if (id === int8Array) {
      return parseInt8Array;
    }
  }
  return pg.types.getTypeParser(...args);
};

function parseInt8Array(text: string): readonly (bigint | null)[] {
  // One-dimensional int8 arrays are digits, signs and NULL, never quoted: {1,-2,NULL}.
  const inner = text.slice(text.indexOf("{") + 1, -1);
  return inner === "" ? [] : inner.split(",").map((item) => (item === "NULL" ? null : BigInt(item)));
}
