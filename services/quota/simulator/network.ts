import type { BudgetStore } from "../store/store.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How calls fare. Shares are from 0 to 1. */
export interface Weather {
  /** Calls that never arrive. */
  readonly lost: number;
  /** Calls that were carried out, and whose answers never arrive. */
  readonly unheard: number;
  /** Calls that are carried out twice, the second time at any later moment. */
  readonly doubled: number;
  /** The longest that one way takes; which makes calls overtake each other. */
  readonly delayMs: number;
}

/** Nothing goes wrong. */
export const fairWeather: Weather = { lost: 0, unheard: 0, doubled: 0, delayMs: 2 };

const weathers: readonly Weather[] = [
  fairWeather,
  fairWeather,
  fairWeather,
  { lost: 0.01, unheard: 0.01, doubled: 0.1, delayMs: 20 },
  { lost: 0.02, unheard: 0.05, doubled: 0.2, delayMs: 100 },
  { lost: 0, unheard: 0.05, doubled: 0.5, delayMs: 50 },
  { lost: 0.1, unheard: 0.15, doubled: 0.2, delayMs: 400 },
  { lost: 0, unheard: 0, doubled: 0.5, delayMs: 3_000 },
  { lost: 1, unheard: 0, doubled: 0, delayMs: 5 },
];

/** A network that is against its users. */
export interface Network {
  weather: Weather;
  /** Takes any weather. */
  changeWeather(): void;
  /** Carries a call. Rejects after a while when the call or its answer was lost; it may have happened. */
  call<T>(apply: () => Promise<T>): Promise<T>;
}

/** How long callers wait for what never comes. */
const timeoutMs = 3_000;

/** Makes a network. */
export function createNetwork(deps: { readonly time: VirtualTime; readonly random: Random }): Network {
  const { time, random } = deps;
  const network: Network = {
    weather: fairWeather,
    changeWeather() {
      // Mostly fair, or hardly a request would ever be admitted.
      network.weather = network.weather === fairWeather && random.chance(0.25) ? random.pick(weathers) : fairWeather;
    },
    call<T>(apply: () => Promise<T>): Promise<T> {
      const { lost, unheard, doubled, delayMs } = network.weather;
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const fail = (): void => {
        // At once, as a connection that breaks; or not before the caller is tired of waiting.
        time.after(random.chance(0.5) ? 1 : timeoutMs, () => reject(new Error("the network lost it")));
      };
      if (random.chance(lost)) {
        fail();
        return promise;
      }
      const isUnheard = random.chance(unheard);
      time.after(random.below(delayMs), () => {
        apply().then((value) => {
          if (isUnheard) {
            fail();
          } else {
            time.after(random.below(delayMs), () => resolve(value));
          }
        }, reject);
      });
      if (random.chance(doubled)) {
        // Nobody waits for the second time; when it fails it did not happen.
        time.after(random.below(10 * delayMs), () => void apply().catch(() => undefined));
      }
      return promise;
    },
  };
  return network;
}

/** The store as one process sees it. Of a process that is dead, nothing sets out any more; what is under way arrives. */
export function overNetwork(store: BudgetStore, network: Network, isAlive: () => boolean): BudgetStore {
  const call = <T>(apply: () => Promise<T>): Promise<T> =>
    isAlive() ? network.call(apply) : Promise.withResolvers<T>().promise;
  return {
    syncLeases: (syncs) => call(() => store.syncLeases(syncs)),
    readBudgets: (budgetIds) => call(() => store.readBudgets(budgetIds)),
    forwardSettlement: (settlement) => call(() => store.forwardSettlement(settlement)),
    takeForwarded: (applied) => call(() => store.takeForwarded(applied)),
    leasesToReconcile: (graceMs, limit) => call(() => store.leasesToReconcile(graceMs, limit)),
    reconcileLease: (leaseId, ledger, graceMs) => call(() => store.reconcileLease(leaseId, ledger, graceMs)),
    expireLeases: () => call(() => store.expireLeases()),
  };
}
