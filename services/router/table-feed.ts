import type { RoutingTable } from "./targets.ts";

/** The routing table of this moment, and those that follow it. */
export interface TableFeed {
  readonly current: RoutingTable;
  /** Swaps the table and tells all who watch. */
  replace(table: RoutingTable): void;
  /** Ends all who watch; they ask another process. */
  end(): void;
  /** The current table, then each later one; a slow reader gets only the newest. Ends when the signal aborts. */
  watch<T>(signal: AbortSignal, map: (table: RoutingTable) => T): AsyncIterable<T>;
}

/** Makes a feed. */
export function createTableFeed(initial: RoutingTable): TableFeed {
  let current = initial;
  let ended = false;
  const watchers = new Set<() => void>();
  return {
    get current() {
      return current;
    },
    replace(table) {
      current = table;
      for (const wake of watchers) {
        wake();
      }
    },
    end() {
      ended = true;
      for (const wake of watchers) {
        wake();
      }
    },
    async *watch(signal, map) {
      let sent: RoutingTable | undefined;
      let wake: () => void = () => undefined;
      const onChange = (): void => wake();
      watchers.add(onChange);
      signal.addEventListener("abort", onChange, { once: true });
      try {
        while (!signal.aborted && !ended) {
          if (sent !== current) {
            sent = current;
            yield map(current);
            continue;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        watchers.delete(onChange);
        signal.removeEventListener("abort", onChange);
      }
    },
  };
}
