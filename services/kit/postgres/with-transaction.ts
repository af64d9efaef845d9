import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { isConnectionLoss, isRetryable } from "./is-retryable.ts";

/** Settings of one transaction. */
export interface TransactionOptions {
  /** How often to try again after the first time. 5 unless given. */
  readonly retries?: number;
  /**
   * Whether the work may be done twice. When the connection breaks during COMMIT nobody knows whether it took effect;
   * only work that is idempotent is then tried again. False unless given.
   */
  readonly idempotent?: boolean;
  /** Stops waiting for another try. */
  readonly signal?: AbortSignal;
}

/**
 * Runs work in a transaction, and again from the start when it fails for a passing reason (see isRetryable).
 *
 * Waits 20 ms, doubled each time up to 2 s, with jitter. Rejects with the last error. The work must do nothing that a
 * rollback does not undo.
 */
export async function withTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const retries = options.retries ?? 5;
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await attemptOnce(pool, work);
    if (outcome.kind === "committed") {
      return outcome.value;
    }
    const ambiguous = outcome.duringCommit && isConnectionLoss(outcome.error) && options.idempotent !== true;
    if (attempt >= retries || ambiguous || !isRetryable(outcome.error)) {
      throw outcome.error;
    }
    const ceilingMs = Math.min(2_000, 20 * 2 ** attempt);
    await delay(ceilingMs * (0.5 + Math.random() / 2), undefined, options.signal && { signal: options.signal });
  }
}

type Outcome<T> =
  | { readonly kind: "committed"; readonly value: T }
  | { readonly kind: "failed"; readonly error: unknown; readonly duringCommit: boolean };

async function attemptOnce<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<Outcome<T>> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    return { kind: "failed", error, duringCommit: false };
  }
  let duringCommit = false;
  try {
    await client.query("BEGIN");
    const value = await work(client);
    duringCommit = true;
    const result = await client.query("COMMIT");
    // COMMIT of a transaction that failed earlier, with its error caught by the work, rolls back without an error.
    if (result.command !== "COMMIT") {
      throw new Error("the transaction had failed and was rolled back");
    }
    client.release();
    return { kind: "committed", value };
  } catch (error) {
    const rolledBack = await rollback(client);
    client.release(!rolledBack);
    return { kind: "failed", error, duringCommit };
  }
}

/** Whether the connection is fit for another use. */
async function rollback(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    // The error that matters is the one that led here. A connection that cannot roll back is thrown away.
    return false;
  }
}
