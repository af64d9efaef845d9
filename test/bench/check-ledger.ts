import type { LedgerGateway } from "./bench-gateway.ts";
import type { LoadResult } from "./load.ts";
import { costOfRequest } from "./start-penstock.ts";

/** What the ledger was found to hold for one gateway. */
export interface LedgerCheck {
  /** One line that says what was compared. */
  readonly line: string;
  readonly ok: boolean;
}

/**
 * Compares the ledger with what was sent: a row for each request that was answered, for a request that was cut at the
 * end of a load at most one, and a cost of exactly what the answers used.
 */
export async function checkLedger(gateway: LedgerGateway, results: readonly LoadResult[]): Promise<LedgerCheck> {
  await gateway.settled();
  const completed = sum(results.map((result) => result.completed));
  const cut = sum(results.map((result) => result.cut));
  const failed = sum(results.map((result) => result.failed));
  const rows = await gateway.ledger();
  const attempts = rows.reduce((total, row) => total + Number(row.attempts), 0);
  const succeeded = rows.find((row) => row.outcome === "OUTCOME_SUCCEEDED");
  const answered = Number(succeeded?.attempts ?? 0n);
  const cost = succeeded?.costNanosUsd ?? 0n;
  const exact = cost === BigInt(answered) * costOfRequest;
  const ok = failed === 0 && answered >= completed && attempts <= completed + cut && exact;
  return {
    line: `${gateway.name}: ${completed} answers were read and at most ${cut} requests cut, ${failed} failed; the ledger has ${attempts} rows, ${answered} of them succeeded, at ${exact ? "exactly" : "NOT"} the cost of their answers`,
    ok,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
