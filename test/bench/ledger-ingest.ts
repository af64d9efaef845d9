import { randomUUIDv7 } from "node:crypto";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createAccountingModule } from "../../services/accounting/module.ts";

// `node test/bench/ledger-ingest.ts [--rows N] [--batch N] [--tags N]`: how many events a second one accounting process
// takes into an empty ledger, and what they cost it, next to a Postgres on the same machine.

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "40000" },
    batch: { type: "string", default: "500" },
    tags: { type: "string", default: "2" },
  },
});
const rows = Number(values.rows);
const batchSize = Number(values.batch);
const tags = Object.fromEntries(Array.from({ length: Number(values.tags) }, (_, at) => [`tag${at}`, `value${at}`]));

const postgres = await startTestPostgres();
const mesh = createMesh({ addresses: { resolve: () => undefined } });
const module = createAccountingModule({ mesh, databaseUrl: await postgres.createDatabase() });
await module.start();
const ledger = mesh.client(AccountingService);
const batches = Array.from({ length: Math.ceil(rows / batchSize) }, (_, batch) =>
  Array.from({ length: batchSize }, (__, at) => newEvent(batch * batchSize + at)),
);
await ledger.ingest({ events: Array.from({ length: batchSize }, (_, at) => newEvent(at)) });
const cpu = process.cpuUsage();
const started = performance.now();
for (const events of batches) {
  await ledger.ingest({ events });
}
const seconds = (performance.now() - started) / 1_000;
const used = process.cpuUsage(cpu);
const count = batches.length * batchSize;
process.stdout.write(
  `${count} events in batches of ${batchSize}, ${values.tags} tags each: ${Math.round(count / seconds)} a second, ` +
    `${((used.user + used.system) / count).toFixed(1)} µs of this process for each\n`,
);
await module.stop();
await postgres.close();

function newEvent(index: number): UsageEvent {
  return create(UsageEventSchema, {
    attemptId: randomUUIDv7(),
    requestId: randomUUIDv7(),
    keyId: `key-${index % 200}`,
    teamId: `team-${index % 20}`,
    organizationId: "default",
    tags,
    operation: Operation.CHAT,
    dialect: Dialect.OPENAI_CHAT,
    requestedModel: `model-${index % 7}`,
    provider: `provider-${index % 3}`,
    model: `model-${index % 7}`,
    outcome: Outcome.SUCCEEDED,
    httpStatus: 200,
    usage: { uncachedInputTokens: 900n, cacheReadTokens: 100n, outputTokens: 250n },
    costNanosUsd: 1_250_000n,
    priceSource: "override",
    startTime: timestampFromMs(Date.now() - index),
    final: true,
  });
}
