import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { BenchGateway, LedgerGateway } from "./bench-gateway.ts";
import { checkLedger } from "./check-ledger.ts";
import type { Load, LoadResult } from "./load.ts";
import { createLoads } from "./loads.ts";
import { type Measurement, measure, warmUp } from "./measure.ts";
import { type BenchOptions, readOptions, usage } from "./options.ts";
import { cores, pinning, pinProcess } from "./pinned-process.ts";
import { nginxInstalled, type StartedGateways, startNginx, startNodeProxy, startUpstream } from "./start-gateways.ts";
import { startPenstock } from "./start-penstock.ts";
import { loadTable } from "./table.ts";
import { wrkInstalled } from "./wrk.ts";

// `npm run bench`: what a request costs in Penstock, beside a bare proxy in Node and nginx, in the same run. README.md
// says how it is measured. The exit code is 1 when a request failed or the ledger is not what was sent.

const write = (text: string): void => void process.stdout.write(`${text}\n`);
const options = readOptions(process.argv.slice(2));
if (options === undefined) {
  write(usage);
} else {
  process.exitCode = await runBench(options);
}

async function runBench(bench: BenchOptions): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "penstock-bench-"));
  const stops: (() => Promise<void>)[] = [];
  process.once("SIGINT", () => process.exit(130));
  try {
    // Whatever is started from here on runs on the load's core, unless it is moved.
    pinProcess(process.pid, cores.load);
    write(
      `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}, ${pinning ? "gateway alone on core 0" : "not pinned: taskset or a second core is missing"}`,
    );
    const upstream = await startUpstream();
    stops.push(upstream.process.stop);
    const gateways = await startGateways(bench, upstream.process.ready, directory, stops);
    const loads = chosenLoads(bench, directory);
    const sent = new Map<BenchGateway, LoadResult[]>();
    const note = (gateway: BenchGateway, results: readonly LoadResult[]): void =>
      void sent.set(gateway, [...(sent.get(gateway) ?? []), ...results]);
    for (const gateway of gateways) {
      for (const load of warmUpLoads(loads)) {
        note(gateway, await warmUp(gateway, load));
      }
    }
    const measurements = await runRounds(bench, loads, upstream.gateway, gateways, note);
    for (const load of loads) {
      write(`\n${loadTable(load, measurements)}`);
    }
    if (bench.jsonFile !== undefined) {
      writeFileSync(
        bench.jsonFile,
        `${JSON.stringify({ node: process.version, options: bench, measurements }, undefined, 1)}\n`,
      );
    }
    return await report(gateways, sent);
  } finally {
    for (const stop of stops.toReversed()) {
      await stop();
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startGateways(
  bench: BenchOptions,
  upstreamUrl: string,
  directory: string,
  stops: (() => Promise<void>)[],
): Promise<readonly BenchGateway[]> {
  const gateways: BenchGateway[] = [];
  const wanted = (name: string): boolean => bench.only.length === 0 || bench.only.includes(name);
  const add = async (started: Promise<StartedGateways>): Promise<void> => {
    const { gateways: added, stop } = await started;
    stops.push(stop);
    gateways.push(...added.filter((gateway) => wanted(gateway.name)));
  };
  const penstock = (name: string, mode: "one-process" | "mesh", root?: string) => {
    const own = join(directory, name);
    mkdirSync(own);
    return startPenstock({ name, mode, root, upstreamUrl, directory: own, profileDirectory: bench.profileDirectory });
  };
  const anyOf = (name: string): boolean => wanted(name) || wanted(`${name}, no budget`);
  if (wanted("node")) {
    await add(startNodeProxy(upstreamUrl));
  }
  if (wanted("nginx")) {
    if (nginxInstalled) {
      await add(startNginx(upstreamUrl, directory));
    } else {
      write("no row for nginx: it is not installed (apt-get install nginx-light)");
    }
  }
  if (anyOf("penstock")) {
    await add(penstock("penstock", "one-process"));
  }
  if (bench.compare !== undefined && anyOf("other")) {
    await add(penstock("other", "one-process", resolve(bench.compare)));
  }
  if (bench.mesh && anyOf("mesh")) {
    await add(penstock("mesh", "mesh"));
  }
  return gateways;
}

function chosenLoads(bench: BenchOptions, directory: string): readonly Load[] {
  const loads = createLoads(directory, bench.ratePerSecond);
  if (!wrkInstalled) {
    write("no closed loop: wrk is not installed (apt-get install wrk)");
  }
  return loads.filter(
    (load) =>
      (bench.loads.length === 0 || bench.loads.includes(load.name)) &&
      (wrkInstalled || !load.name.startsWith("closed")),
  );
}

/** One load of whole answers and one of streams are enough to compile what all others run. */
function warmUpLoads(loads: readonly Load[]): readonly Load[] {
  const whole = loads.find((load) => load.unit === "request");
  const streamed = loads.find((load) => load.unit === "chunk");
  return [whole, streamed].filter((load) => load !== undefined);
}

/** Round by round, load by load, the gateways one after another, each round beginning with the next. */
async function runRounds(
  bench: BenchOptions,
  loads: readonly Load[],
  upstream: BenchGateway,
  gateways: readonly BenchGateway[],
  note: (gateway: BenchGateway, results: readonly LoadResult[]) => void,
): Promise<readonly Measurement[]> {
  const measurements: Measurement[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    const order = [...gateways.slice(round % gateways.length), ...gateways.slice(0, round % gateways.length)];
    for (const load of loads) {
      for (const gateway of load.direct ? [upstream, ...order] : order) {
        const measurement = await measure(gateway, load, round, bench.seconds * load.share);
        note(gateway, [measurement.result]);
        measurements.push(measurement);
      }
    }
  }
  return measurements;
}

async function report(
  gateways: readonly BenchGateway[],
  sent: ReadonlyMap<BenchGateway, readonly LoadResult[]>,
): Promise<number> {
  let exitCode = 0;
  for (const gateway of gateways) {
    const results = sent.get(gateway) ?? [];
    const failed = results.reduce((total, result) => total + result.failed, 0);
    if (isLedgerGateway(gateway)) {
      const check = await checkLedger(gateway, results);
      write(check.line);
      exitCode = check.ok ? exitCode : 1;
    } else if (failed > 0) {
      write(`${gateway.name}: ${failed} requests failed`);
      exitCode = 1;
    }
  }
  return exitCode;
}

function isLedgerGateway(gateway: BenchGateway): gateway is LedgerGateway {
  return "ledger" in gateway;
}
