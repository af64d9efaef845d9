import { LRUCache } from "lru-cache";
import type { Target } from "../targets.ts";

/** Remembers which targets asked to be left alone. */
export interface TargetHealth {
  isCooling(target: Target): boolean;
  /** Leaves the target behind all others for this long. */
  cool(target: Target, delayMs: number): void;
}

/** Makes an empty memory. `now` is monotonic milliseconds. */
export function createTargetHealth(now: () => number): TargetHealth {
  const until = new LRUCache<string, number>({ max: 10_000 });
  return {
    isCooling: (target) => (until.get(target.id) ?? 0) > now(),
    cool(target, delayMs) {
      until.set(target.id, Math.max(until.get(target.id) ?? 0, now() + delayMs));
    },
  };
}
