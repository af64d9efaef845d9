import { Worker } from "node:worker_threads";
import type { Finding } from "./fuzz.ts";
import type { MutantRun } from "./run-mutants.ts";

/** A mutant takes a fraction of a millisecond; one that takes so long never ends. */
const hangMs = 30_000;
const watchMs = 1_000;

/** Plays mutants, one for each seed from the first on. Resolves with those that something went wrong with. */
export async function fuzzInThread(firstSeed: number, mutants: number): Promise<readonly Finding[]> {
  const place = new SharedArrayBuffer(8);
  const workerData: MutantRun = { firstSeed, mutants, place };
  const worker = new Worker(new URL("run-mutants.ts", import.meta.url), { workerData });
  const at = new Float64Array(place);
  const findings: Finding[] = [];
  let seen = -1;
  let seenSince = performance.now();
  return await new Promise((resolve, reject) => {
    const watch = setInterval(() => {
      const seed = at[0] ?? 0;
      if (seed !== seen) {
        seen = seed;
        seenSince = performance.now();
      } else if (performance.now() - seenSince > hangMs) {
        findings.push({ seed, name: "", problem: "it does not end", bytes: Buffer.alloc(0) });
        void worker.terminate();
      }
    }, watchMs);
    worker.on("message", (finding: Finding) => findings.push({ ...finding, bytes: Buffer.from(finding.bytes) }));
    worker.on("error", (error) => {
      clearInterval(watch);
      reject(new Error(`seed ${at[0]} ended the thread`, { cause: error }));
    });
    worker.on("exit", () => {
      clearInterval(watch);
      resolve(findings);
    });
  });
}

/** A finding in words, with what makes the mutant again. */
export function describeFinding({ seed, name, problem, bytes }: Finding): string {
  return `seed ${seed}, made of ${name}, ${bytes.length} bytes: ${problem}`;
}
