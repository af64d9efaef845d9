import type { JournalItem } from "#kit/journal/deliverer.ts";
import { createDeliverer, type DelivererState } from "#kit/journal/deliverer.ts";
import type { Journal } from "#kit/journal/journal.ts";
import type { EventDelivery, RecordedEvent } from "./usage-recorder.ts";

/** Brings a batch of events to the ledger, or to a transport that will. */
export interface EventTransport {
  /** Resolves when the batch has arrived; rejects when any of it may not have. Called with a batch again after that. */
  deliver(batch: readonly RecordedEvent[]): Promise<void>;
  /** Whether arrival is arrival in the ledger, so that the journal can forget. */
  readonly confirms: boolean;
}

/** A delivery with a life cycle. */
export interface OwnedDelivery extends EventDelivery {
  /** How many events have not arrived. */
  readonly waiting: number;
  /** Delivers what is left; resolves to whether nothing is. */
  drain(timeoutMs: number): Promise<boolean>;
  stop(): void;
}

/** What a delivery needs. */
export interface DeliveryDeps {
  readonly transport: EventTransport;
  readonly journal: Journal;
  readonly onState: (state: DelivererState) => void;
}

const refillMs = 100;

/** Makes a delivery: batches in order, each until it has arrived. */
export function createDelivery(deps: DeliveryDeps): OwnedDelivery {
  /** What a predecessor left and the deliverer has no room for yet. It is in the journal, whose size is bounded. */
  let backlog: RecordedEvent[] = [];
  let refill: NodeJS.Timeout | undefined;
  const deliverer = createDeliverer<RecordedEvent>({
    deliver: (batch) => deps.transport.deliver(batch.map((item) => item.value)),
    onDelivered(batch: readonly JournalItem<RecordedEvent>[]) {
      if (deps.transport.confirms) {
        for (const item of batch) {
          deps.journal.confirm(item.sequence);
        }
      }
    },
    onState: deps.onState,
  });

  function pushBacklog(): void {
    let taken = 0;
    while (taken < backlog.length && !deliverer.full) {
      const event = backlog[taken];
      if (event === undefined || !deliverer.push({ sequence: event.sequence, value: event })) {
        break;
      }
      taken += 1;
    }
    backlog = backlog.slice(taken);
    if (backlog.length > 0) {
      refill = setTimeout(pushBacklog, refillMs);
    }
  }

  return {
    get full() {
      return deliverer.full;
    },
    get waiting() {
      return deliverer.size + backlog.length;
    },
    offer(event) {
      if (!deliverer.push({ sequence: event.sequence, value: event })) {
        backlog.push(event);
        if (backlog.length === 1) {
          refill = setTimeout(pushBacklog, refillMs);
        }
      }
    },
    async drain(timeoutMs) {
      return (await deliverer.drain(timeoutMs)) && backlog.length === 0;
    },
    stop() {
      clearTimeout(refill);
      deliverer.stop();
    },
  };
}
