import type { MemoryBudgets } from "../store/memory.ts";
import type { BudgetStore } from "../store/store.ts";
import { createRandom } from "./random.ts";
import { installVirtualTime } from "./virtual-time.ts";
import { World } from "./world.ts";

/** One run. The same seed and number of steps are the same run. */
export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
  /** Breaks the store, to see whether that is found. */
  readonly wrapStore?: (store: BudgetStore, shared: MemoryBudgets) => BudgetStore;
}

/** What a run came to. */
export interface SimulationResult {
  readonly seed: number;
  /** How many requests were admitted. */
  readonly admitted: number;
  /** What was spent of all budgets, in nano-US-dollars. */
  readonly spentNanosUsd: bigint;
  /** Which rule was broken, and after how many steps; undefined when none was. */
  readonly failure: { readonly step: number; readonly message: string } | undefined;
}

// Some day: windows of budgets follow the calendar.
const startMs = Date.UTC(2026, 0, 31, 23, 50);

/** Runs quota against a world of chance. Takes the timers of the whole process: nothing else may run meanwhile. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const time = installVirtualTime(startMs);
  const world = new World({ time, random: createRandom(options.seed), wrapStore: options.wrapStore });
  let step = 0;
  let failure: SimulationResult["failure"];
  try {
    await world.start();
    for (; step < options.steps; step += 1) {
      await world.step();
    }
    await world.close();
  } catch (error) {
    failure = { step, message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  } finally {
    time.restore();
  }
  let spentNanosUsd = 0n;
  for (const { spent } of world.shared.budgets.values()) {
    spentNanosUsd += spent;
  }
  return { seed: options.seed, admitted: world.books.requests.size, spentNanosUsd, failure };
}
