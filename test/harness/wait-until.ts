import { setTimeout as pause } from "node:timers/promises";

const pollMs = 25;

/**
 * Asks again and again until the answer is neither undefined nor false, and returns it. Rejects after 30 s, or after
 * `timeoutMs`, with what `describe` says: only a failing test ever waits so long.
 */
export async function waitUntil<T>(
  ask: () => T | Promise<T>,
  describe: () => string,
  timeoutMs = 30_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) {
      // Neither undefined nor false, as just checked; the compiler does not narrow type parameters so.
      return answer as Exclude<T, undefined | false>;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited in vain for ${describe()}`);
    }
    await pause(pollMs);
  }
}
