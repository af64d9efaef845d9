import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createQuotaModule, quotaConfig } from "../../services/quota/module.ts";

// `node test/bench/reservations.ts [--count N] [--concurrency N]`: how many requests a second one process of quota holds
// and settles, and what they cost it: with a slice of a large budget in memory, and while a budget runs out, where slices
// shrink and the half of the requests that has no place is refused by a look into Postgres. The caller is in the same
// process, as with `npm start`.

const { values } = parseArgs({
  options: { count: { type: "string", default: "200000" }, concurrency: { type: "string", default: "100" } },
});
const cost = 1_000n;
const concurrency = Number(values.concurrency);

const postgres = await startTestPostgres();
const mesh = createMesh({ addresses: { resolve: () => undefined } });
const module = createQuotaModule({
  mesh,
  config: quotaConfig.parse({ slice_maximum: "$1" }),
  databaseUrl: await postgres.createDatabase(),
});
await module.start();
const quota = mesh.client(QuotaService);

async function measure(what: string, count: number, budgetNanosUsd: bigint): Promise<void> {
  const { key } = await mesh.client(KeyService).createKey({ key: { budgetNanosUsd } });
  const keyId = key?.id ?? "";
  let left = count;
  let held = 0;
  const spend = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const requestId = randomUUID();
      try {
        const { leases } = await quota.reserve({ requestId, keyId, costNanosUsd: cost, minimumCostNanosUsd: cost });
        const leaseIds = leases.map(({ leaseId }) => leaseId);
        await quota.settle({ settlements: [{ requestId, keyId, leaseIds, costNanosUsd: cost }] });
        held += 1;
      } catch {
        // Refused: the budget is used up, which is what the second load is about.
      }
    }
  };
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await Promise.all(Array.from({ length: concurrency }, spend));
  const seconds = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const micros = ((user + system) / count).toFixed(1);
  process.stdout.write(
    `${what}: ${Math.round(count / seconds)} a second, ${micros} µs of CPU each, ${held} of ${count} held\n`,
  );
}

const count = Number(values.count);
await measure("warming up", count / 10, 1_000_000_000_000n);
await measure("with a slice in memory", count, 1_000_000_000_000n);
await measure("while a budget runs out", Math.ceil(count / 20), (BigInt(Math.ceil(count / 20)) * cost) / 2n);
await module.stop?.();
await postgres.close();
