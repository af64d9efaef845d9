import { metrics } from "@opentelemetry/api";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { LedgerStore } from "./store/store.ts";

/** What the ledger counts. */
export interface LedgerMetrics {
  /** A batch was committed: all its events may be forgotten by the journals. `oldestMs` is since its oldest start. */
  committed(events: number, inserted: number, oldestMs: number): void;
  /** Something became a dead letter. */
  buried(): void;
}

/** Makes the instruments of this process. */
export function createLedgerMetrics(): LedgerMetrics {
  const meter = metrics.getMeter("penstock.accounting");
  const events = meter.createCounter("penstock_accounting_events", {
    description: "Usage events that were committed: new rows, and those that were there already.",
  });
  const dead = meter.createCounter("penstock_accounting_dead_letters", {
    description: "Usage events that could not be rows.",
  });
  const delay = meter.createHistogram("penstock_accounting_watermark_delay_seconds", {
    description: "From the start of the oldest attempt of a batch to its commit.",
    advice: { explicitBucketBoundaries: [0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200, 86_400] },
  });
  return {
    committed(count, inserted, oldestMs) {
      events.add(inserted, { result: "inserted" });
      events.add(count - inserted, { result: "known" });
      delay.record(oldestMs / 1_000);
    },
    buried: () => dead.add(1),
  };
}

/** A ledger that counts what it is given. */
export function countEvents(store: LedgerStore, counters: LedgerMetrics, wallClock: () => number): LedgerStore {
  return {
    ...store,
    async insert(events) {
      const inserted = await store.insert(events);
      const nowMs = wallClock();
      let oldestMs = nowMs;
      for (const { startTime } of events) {
        oldestMs = Math.min(oldestMs, startTime === undefined ? nowMs : timestampMs(startTime));
      }
      counters.committed(events.length, inserted, nowMs - oldestMs);
      return inserted;
    },
    async bury(payload, error) {
      await store.bury(payload, error);
      counters.buried();
    },
  };
}
