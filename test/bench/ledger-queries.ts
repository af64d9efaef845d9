import { parseArgs } from "node:util";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AccountingService, Dimension } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createAccountingModule } from "../../services/accounting/module.ts";
import { fillLedger } from "./ledger-fill.ts";

// `node test/bench/ledger-queries.ts [--rows N] [--rounds N]`: fills a ledger with rows of 30 days and measures how long
// its answers take, the first time and in the middle of the following ones.

const { values } = parseArgs({
  options: { rows: { type: "string", default: "2000000" }, rounds: { type: "string", default: "7" } },
});
const rows = Number(values.rows);
const rounds = Number(values.rounds);

const postgres = await startTestPostgres();
const databaseUrl = await postgres.createDatabase();
const mesh = createMesh({ addresses: { resolve: () => undefined } });
const module = createAccountingModule({ mesh, databaseUrl });
await module.start();
const ledger = mesh.client(AccountingService);
const pool = createPool({ url: databaseUrl, name: "ledger bench" });
const filling = performance.now();
const { startMs, endMs } = await fillLedger(pool, rows, (done) => {
  process.stderr.write(`${done} rows after ${Math.round((performance.now() - filling) / 1_000)} s\n`);
});
const sizes = await pool.query<{ attempts: string; daily: string; hourly: string }>(
  `SELECT (SELECT count(*) FROM accounting.rollup_daily)::text AS daily,
     (SELECT count(*) FROM accounting.rollup_hourly)::text AS hourly,
     pg_size_pretty(pg_database_size(current_database())) AS attempts`,
);
process.stdout.write(
  `${rows} rows, ${sizes.rows[0]?.daily} sums of days, ${sizes.rows[0]?.hourly} of hours, ${sizes.rows[0]?.attempts}\n`,
);

const range = { startTime: timestampFromMs(startMs), endTime: timestampFromMs(endMs) };
const { KEY, TEAM, MODEL, PROVIDER, OUTCOME, DAY, HOUR, TAG, ORGANIZATION } = Dimension;
const sum = (groupBy: Dimension[], filter = {}, tagName = "") =>
  ledger.queryUsage({ ...range, groupBy, filter, tagName });
const list = (filter: object, more: object = {}) => ledger.listRequests({ pageSize: 50, filter, ...more });
const deep = await list({});
for (const [name, ask] of [
  ["sum of everything", () => sum([])],
  ["by organisation and team", () => sum([ORGANIZATION, TEAM])],
  ["by day", () => sum([DAY])],
  ["by day and model", () => sum([DAY, MODEL])],
  ["by key", () => sum([KEY])],
  ["by key, model and outcome", () => sum([KEY, MODEL, OUTCOME])],
  ["by provider, of one team", () => sum([PROVIDER], { teamId: "team-3" })],
  ["by day, of one key", () => sum([DAY], { keyId: "key-7" })],
  ["by a tag", () => sum([TAG], {}, "feature")],
  ["by hour", () => sum([HOUR])],
  ["newest requests", () => list({})],
  ["the next page", () => list({}, { pageToken: deep.nextPageToken })],
  ["requests of 20 days ago", () => list({}, { endTime: timestampFromMs(endMs - 20 * 86_400_000) })],
  ["of one key", () => list({ keyId: "key-7" })],
  ["of one team", () => list({ teamId: "team-3" })],
  ["of one organisation", () => list({ organizationId: "organization-1" })],
  ["of one user", () => list({ userId: "user-77" })],
  ["failed", () => list({ outcome: Outcome.FAILED })],
  ["cut", () => list({ outcome: Outcome.TRUNCATED })],
  ["of a rare model", () => list({ model: "model-rare" })],
  ["of a model that is not there", () => list({ model: "model-none" })],
  ["of one key and provider", () => list({ keyId: "key-7", provider: "provider-2" })],
  ["with a tag", () => list({ tagName: "feature", tagValue: "f4" })],
  ["above a cost", () => list({}, { minCostNanosUsd: 1_099_999n })],
  ["by request id", () => list({}, { requestId: `request-${Math.floor(rows / 3)}` })],
] as const) {
  const times: number[] = [];
  let found = 0;
  for (let round = 0; round <= rounds; round += 1) {
    const started = performance.now();
    const answer = await ask();
    times.push(performance.now() - started);
    found = "rows" in answer ? answer.rows.length : answer.requests.length;
  }
  const [first = 0, ...warm] = times;
  const median = warm.toSorted((a, b) => a - b)[Math.floor(warm.length / 2)] ?? first;
  process.stdout.write(
    `${name.padEnd(32)} ${median.toFixed(1).padStart(8)} ms (first ${first.toFixed(1)}), ${found} found\n`,
  );
}
await pool.end();
await module.stop();
await postgres.close();
