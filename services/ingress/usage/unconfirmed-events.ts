import type { RecordedEvent } from "./usage-recorder.ts";

/** Events that a transport has taken and the ledger has not confirmed yet. */
export interface UnconfirmedEvents {
  /** Takes events that were published just now. */
  add(events: readonly RecordedEvent[]): void;
  confirm(sequences: readonly bigint[]): void;
  /** The oldest events that were published longer ago than `ageMs`, at most `limit`. */
  overdue(ageMs: number, limit: number): readonly RecordedEvent[];
  readonly size: number;
}

interface Waiting {
  readonly event: RecordedEvent;
  readonly publishedAt: number;
}

/**
 * Makes an empty set that remembers at most `max` events; those beyond it stay in the journal and are published again
 * by the next process. `now` is monotonic milliseconds.
 */
export function createUnconfirmedEvents(max: number, now: () => number): UnconfirmedEvents {
  /** In the order of publication: a map keeps the order in which keys were added. */
  const waiting = new Map<bigint, Waiting>();
  return {
    get size() {
      return waiting.size;
    },
    add(events) {
      for (const event of events) {
        waiting.delete(event.sequence);
        if (waiting.size < max) {
          waiting.set(event.sequence, { event, publishedAt: now() });
        }
      }
    },
    confirm(sequences) {
      for (const sequence of sequences) {
        waiting.delete(sequence);
      }
    },
    overdue(ageMs, limit) {
      const due: RecordedEvent[] = [];
      for (const { event, publishedAt } of waiting.values()) {
        if (due.length >= limit || now() - publishedAt < ageMs) {
          break;
        }
        due.push(event);
      }
      return due;
    },
  };
}
