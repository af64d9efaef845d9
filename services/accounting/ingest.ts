import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { writeDeadLetter } from "./dead-letter-payload.ts";
import { EventDataError, type LedgerStore } from "./store/store.ts";
import { findEventProblem } from "./write-event-row.ts";

/** What became of events; together they are all that were given. */
export interface IngestResult {
  /** How many are new in the ledger. */
  readonly inserted: number;
  /** How many can never be in it and are kept as dead letters. */
  readonly buried: number;
}

const maxBatch = 1_000;

/**
 * Adds events to the ledger and resolves when all of them are durable, there or as dead letters. Idempotent. Rejects when
 * the database cannot be asked; some may be there then, and giving all of them again is right.
 */
export async function ingestEvents(store: LedgerStore, events: readonly UsageEvent[]): Promise<IngestResult> {
  const good: UsageEvent[] = [];
  let inserted = 0;
  let buried = 0;
  for (const event of events) {
    const problem = findEventProblem(event);
    if (problem === undefined) {
      good.push(event);
    } else {
      await store.bury(writeDeadLetter(event), problem);
      buried += 1;
    }
  }
  for (let start = 0; start < good.length; start += maxBatch) {
    const result = await ingestBatch(store, good.slice(start, start + maxBatch));
    inserted += result.inserted;
    buried += result.buried;
  }
  return { inserted, buried };
}

async function ingestBatch(store: LedgerStore, batch: readonly UsageEvent[]): Promise<IngestResult> {
  try {
    return { inserted: await store.insert(batch), buried: 0 };
  } catch (error) {
    if (!(error instanceof EventDataError)) {
      throw error;
    }
    const [event] = batch;
    if (event !== undefined && batch.length === 1) {
      await store.bury(writeDeadLetter(event), error.cause instanceof Error ? error.cause.message : error.message);
      return { inserted: 0, buried: 1 };
    }
  }
  // Halves find the few that cannot be stored in a few steps, and keep the rest together.
  const middle = Math.ceil(batch.length / 2);
  const first = await ingestBatch(store, batch.slice(0, middle));
  const second = await ingestBatch(store, batch.slice(middle));
  return { inserted: first.inserted + second.inserted, buried: first.buried + second.buried };
}
