import { parentPort, workerData } from "node:worker_threads";
import { playMutant } from "./fuzz.ts";
import { readSeeds } from "./seeds.ts";

// Runs in a thread of its own, so that a mutant that never ends can be noticed from outside.

/** What the thread is given. */
export interface MutantRun {
  readonly firstSeed: number;
  readonly mutants: number;
  /** One number, in which the thread tells the seed that it is at. */
  readonly place: SharedArrayBuffer;
}

// Its only user starts it with this.
const { firstSeed, mutants, place } = workerData as MutantRun;
const at = new Float64Array(place);
const seeds = readSeeds();
for (let seed = firstSeed; seed < firstSeed + mutants; seed += 1) {
  at[0] = seed;
  const finding = playMutant(seeds, seed);
  if (finding !== undefined) {
    parentPort?.postMessage(finding);
  }
}
