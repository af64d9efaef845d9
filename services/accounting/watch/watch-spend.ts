import type { UsageSum } from "../store/store.ts";
import type { LedgerFollower, LedgerListener } from "./ledger-follower.ts";

/** What a watch of sums works with. */
export interface WatchSpendDeps {
  readonly follower: LedgerFollower;
  readonly read: () => Promise<readonly UsageSum[]>;
  /** The least time between two answers, in ms. */
  readonly intervalMs: number;
  /** When to look again although nothing was heard, in ms: corrections of costs make no sound. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/**
 * Gives sums at once and then whenever they have changed, never faster than the interval and never faster than they are
 * taken: what changes while nobody asks is in the next answer. Ends when the signal aborts; throws what `read` throws, and
 * the follower's error when that is lost.
 */
export async function* watchSpend(deps: WatchSpendDeps): AsyncGenerator<readonly UsageSum[]> {
  const { signal } = deps;
  let lost: Error | undefined;
  let isNew = true;
  let wake: (() => void) | undefined;
  const listener: LedgerListener = {
    onEvents() {
      isNew = true;
      wake?.();
    },
    onLost(error) {
      lost = error;
      wake?.();
    },
  };
  const sleep = async (ms: number): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
    });
    if (wake !== undefined) {
      signal.removeEventListener("abort", wake);
    }
    wake = undefined;
  };
  await deps.follower.listen(listener);
  try {
    let shown: string | undefined;
    let readAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted && lost === undefined) {
      const sinceMs = performance.now() - readAtMs;
      if (!isNew && sinceMs < deps.idleMs) {
        await sleep(deps.idleMs - sinceMs);
        continue;
      }
      if (sinceMs < deps.intervalMs) {
        await sleep(deps.intervalMs - sinceMs);
        continue;
      }
      isNew = false;
      readAtMs = performance.now();
      const sums = await deps.read();
      const text = JSON.stringify(sums, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
      if (text !== shown) {
        shown = text;
        yield sums;
      }
    }
    if (lost !== undefined && !signal.aborted) {
      throw lost;
    }
  } finally {
    deps.follower.leave(listener);
  }
}
