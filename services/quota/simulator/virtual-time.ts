/** A clock whose timers run only when it is told to go on. */
export interface VirtualTime {
  /** Milliseconds; never goes back. */
  readonly nowMs: number;
  /** Runs something later. What is due at the same time runs in the order in which it was asked for. */
  after(delayMs: number, run: () => void): void;
  /** Lets time pass: runs what becomes due, each with everything that follows from it before the next. */
  advance(durationMs: number): Promise<void>;
  /** Lets time pass in which nothing ran, as when a machine sleeps: what became due runs late, from the next advance on. */
  skip(durationMs: number): void;
  /** Puts the real timers back. What is not due yet never runs. */
  restore(): void;
}

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

const real = { setTimeout, clearTimeout, setImmediate };

/** Replaces the timers of this whole process until they are restored: nothing else may run meanwhile. */
export function installVirtualTime(startMs: number): VirtualTime {
  const timers = new Map<number, Timer>();
  let nowMs = startMs;
  let nextId = 1;

  const add = (delayMs: number, run: () => void): number => {
    const id = nextId;
    nextId += 1;
    timers.set(id, { dueMs: nowMs + Math.max(0, delayMs), run });
    return id;
  };
  // The code under test passes timers from one of these functions to another and does nothing else with them.
  Object.assign(globalThis, {
    setTimeout: (run: () => void, delayMs = 0) => add(delayMs, run),
    setImmediate: (run: () => void) => add(0, run),
    clearTimeout: (id: number | undefined) => void timers.delete(id ?? 0),
  });

  const takeFirst = (untilMs: number): Timer | undefined => {
    let first: number | undefined;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const [id, { dueMs }] of timers) {
      if (dueMs <= untilMs && dueMs < firstMs) {
        first = id;
        firstMs = dueMs;
      }
    }
    const timer = first === undefined ? undefined : timers.get(first);
    timers.delete(first ?? 0);
    return timer;
  };
  // All promises that can be resolved are resolved before a real turn of the event loop.
  const settle = (): Promise<void> => new Promise((resolve) => real.setImmediate(resolve));

  return {
    get nowMs() {
      return nowMs;
    },
    after: (delayMs, run) => void add(delayMs, run),
    async advance(durationMs) {
      const untilMs = nowMs + durationMs;
      await settle();
      for (let timer = takeFirst(untilMs); timer !== undefined; timer = takeFirst(untilMs)) {
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.run();
        await settle();
      }
      nowMs = untilMs;
    },
    skip(durationMs) {
      nowMs += durationMs;
    },
    restore() {
      timers.clear();
      Object.assign(globalThis, real);
    },
  };
}
