import assert from "node:assert/strict";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import type { Gateway } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { type CallRecord, markerOf } from "./call-history.ts";

/** What was found by comparing what callers saw, what the provider saw and what the ledger has. */
export interface Verdict {
  /** Requests that were answered and have no row. */
  readonly lost: readonly string[];
  /** Requests that have more than one row that ends them. */
  readonly duplicated: readonly string[];
  /** Rows of answers that the provider never gave: more than it was asked for. */
  readonly unexpected: number;
  /** Rows of requests whose callers never learned what came of them. */
  readonly recovered: number;
}

interface LedgerRow {
  readonly requestId: string;
  /** Whether it ends its request. */
  readonly final: boolean;
  readonly outcome: number;
  readonly costNanosUsd: bigint;
}

/**
 * Waits until the ledger has a row for each request of the history that was answered, then gives it the time to show
 * more than it should, and compares. `keyIds` are those of the history's keys.
 */
async function judge(
  gateway: Gateway,
  provider: FakeProvider,
  history: readonly CallRecord[],
  keyIds: readonly string[],
): Promise<Verdict> {
  const answered = history.filter((call) => call.outcome === "answered");
  let rows = await readRows(gateway, keyIds);
  const missing = (): readonly string[] => {
    const known = new Set(rows.filter((row) => row.final).map((row) => row.requestId));
    return answered.map((call) => call.requestId).filter((id) => !known.has(id));
  };
  await waitUntil(
    async () => {
      rows = await readRows(gateway, keyIds);
      // What nobody is waiting for may still be on its way; two equal looks in a row say that it is over.
      const before = rows.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
      rows = await readRows(gateway, keyIds);
      return missing().length === 0 && rows.length === before;
    },
    () => `${missing().length} of ${answered.length} answered requests to be in the ledger, such as ${missing()[0]}`,
  );
  const finals = new Map<string, number>();
  for (const row of rows) {
    if (row.final) {
      finals.set(row.requestId, (finals.get(row.requestId) ?? 0) + 1);
    }
  }
  const markers = new Set(history.map((call) => call.marker));
  const asked = provider.requests.filter((request) => markers.has(markerOf(request.body) ?? "")).length;
  // A request that the gateway died in is recorded as lost, whether or not the provider had got it.
  const attempts = rows.filter((row) => row.outcome !== Number(Outcome.LOST)).length;
  const ended = new Set(answered.map((call) => call.requestId));
  return {
    lost: missing(),
    duplicated: [...finals].filter(([, count]) => count > 1).map(([id]) => id),
    unexpected: Math.max(0, attempts - asked),
    recovered: [...finals.keys()].filter((id) => !ended.has(id)).length,
  };
}

/** Fails unless nothing was lost, duplicated or made up, and the sums are those of the rows. */
export async function checkLedger(
  gateway: Gateway,
  provider: FakeProvider,
  history: readonly CallRecord[],
  keyIds: readonly string[],
): Promise<Verdict> {
  const verdict = await judge(gateway, provider, history, keyIds);
  assert.deepEqual(
    { lost: verdict.lost, duplicated: verdict.duplicated, unexpected: verdict.unexpected },
    { lost: [], duplicated: [], unexpected: 0 },
  );
  const [sums] = await gateway.query(
    `SELECT (SELECT coalesce(sum(cost_nanos), 0) FROM accounting.attempts)::text AS row_cost,
       (SELECT coalesce(sum(cost_nanos), 0) FROM accounting.rollup_hourly)::text AS sum_cost,
       (SELECT count(*) FROM accounting.attempts)::text AS rows,
       (SELECT coalesce(sum(attempts), 0) FROM accounting.rollup_hourly)::text AS summed,
       (SELECT count(*) FROM accounting.dead_letters)::text AS dead`,
  );
  assert.equal(sums?.["sum_cost"], sums?.["row_cost"], "the sums differ from the rows");
  assert.equal(sums?.["summed"], sums?.["rows"], "the sums count other rows");
  assert.equal(sums?.["dead"], "0", "events could not be stored");
  return verdict;
}

/** Waits until nothing is held of a key's budget and what is spent is what its rows cost. */
export async function checkBudget(gateway: Gateway, keyId: string): Promise<void> {
  let last = "";
  await waitUntil(
    async () => {
      const { heldNanosUsd, spentNanosUsd } = await gateway.getKey(keyId);
      const cost = (await readRows(gateway, [keyId])).reduce((sum, row) => sum + row.costNanosUsd, 0n);
      last = `held ${heldNanosUsd}, spent ${spentNanosUsd}, the rows cost ${cost}`;
      return heldNanosUsd === 0n && spentNanosUsd === cost;
    },
    () => `the budget to be settled: ${last}`,
    45_000,
  );
}

/**
 * Lets the leases of budgets that are open now have ended long ago, as if the time for which a dead process keeps them
 * had passed. Called while no process that holds one runs.
 */
export async function outliveLeases(gateway: Gateway): Promise<void> {
  await gateway.query("UPDATE quota.leases SET expire_time = expire_time - interval '10 minutes' WHERE open");
}

async function readRows(gateway: Gateway, keyIds: readonly string[]): Promise<readonly LedgerRow[]> {
  const rows = await gateway.query(
    `SELECT request_id, final, outcome::int AS outcome, cost_nanos::text AS cost_nanos
     FROM accounting.attempts WHERE key_id = ANY($1)`,
    [keyIds],
  );
  return rows.map((row) => ({
    requestId: String(row["request_id"]),
    final: row["final"] === true,
    outcome: Number(row["outcome"]),
    costNanosUsd: BigInt(String(row["cost_nanos"])),
  }));
}
