import { setTimeout as pause } from "node:timers/promises";
import type { BenchGateway } from "./bench-gateway.ts";
import type { Load, LoadResult } from "./load.ts";
import { cpuMicros, cpuMicrosWithEnded, residentBytes } from "./process-cpu.ts";

/** One load on one gateway, once. */
export interface Measurement {
  readonly round: number;
  readonly load: string;
  readonly gateway: string;
  readonly result: LoadResult;
  /** Of the gateway's processes, until all that the requests left behind was done. */
  readonly cpuMicrosPerUnit: number;
  /** Of its database and bus. */
  readonly otherCpuMicrosPerUnit: number;
  readonly residentBytes: number;
}

/** Runs a load on a gateway and reads what it cost. The upstream has no cost that anybody would want to know. */
export async function measure(gateway: BenchGateway, load: Load, round: number, seconds: number): Promise<Measurement> {
  await gateway.settled();
  const cpuBefore = cpuMicros(gateway.pids);
  const otherBefore = cpuMicrosWithEnded(gateway.otherPids());
  const result = await load.run(gateway, seconds);
  await gateway.settled();
  const cpu = cpuMicros(gateway.pids) - cpuBefore;
  const otherCpu = cpuMicrosWithEnded(gateway.otherPids()) - otherBefore;
  const units = load.unit === "request" ? result.completed : result.chunks;
  return {
    round,
    load: load.name,
    gateway: gateway.name,
    result,
    cpuMicrosPerUnit: cpu / units,
    otherCpuMicrosPerUnit: otherCpu / units,
    residentBytes: residentBytes(gateway.pids),
  };
}

const warmUpRequests = 20_000;
const warmUpLimitMs = 10_000;

/** Runs a load until the gateway's code is compiled: 20,000 requests, or 10 s. Returns what was sent. */
export async function warmUp(gateway: BenchGateway, load: Load): Promise<readonly LoadResult[]> {
  const results: LoadResult[] = [];
  let completed = 0;
  for (const endsAt = performance.now() + warmUpLimitMs; completed < warmUpRequests && performance.now() < endsAt; ) {
    const result = await load.run(gateway, 1);
    completed += load.unit === "request" ? result.completed : result.chunks;
    results.push(result);
  }
  // Compilation and collections that the load set off end on their own.
  await pause(200);
  return results;
}
