/** Remembers ids for a while. */
export interface RecentSet {
  /** Whether the id was added not long ago. */
  has(id: string): boolean;
  add(id: string, nowMs: number): void;
}

/** Settings of a recent set. */
export interface RecentSetOptions {
  /** How long an id is remembered at least, unless the capacity is reached first. */
  readonly ttlMs: number;
  /** The most ids remembered. */
  readonly capacity: number;
}

/** Makes a set of two generations: the older one is forgotten whole, so that adding costs the same at any size. */
export function createRecentSet(options: RecentSetOptions): RecentSet {
  let young = new Set<string>();
  let old = new Set<string>();
  let youngSinceMs: number | undefined;
  return {
    has: (id) => young.has(id) || old.has(id),
    add(id, nowMs) {
      youngSinceMs ??= nowMs;
      if (nowMs - youngSinceMs >= options.ttlMs || young.size >= options.capacity / 2) {
        old = young;
        young = new Set();
        youngSinceMs = nowMs;
      }
      young.add(id);
    },
  };
}
