import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { Journal } from "#kit/journal/journal.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { EventTransport } from "./create-delivery.ts";
import { createUnconfirmedEvents } from "./unconfirmed-events.ts";
import type { RecordedEvent } from "./usage-recorder.ts";

/** A transport with a life cycle. */
export interface OwnedTransport extends EventTransport {
  stop(): Promise<void>;
}

/** Opens a transport for one journal. */
export type OpenTransport = (
  mesh: Mesh,
  journal: Journal,
  onError: (error: unknown) => void,
) => Promise<OwnedTransport>;

/** Brings events to the ledger by a call of its service: for one process with everything. */
export const openDirectTransport: OpenTransport = async (mesh) => {
  const accounting = mesh.client(AccountingService);
  return {
    confirms: true,
    async deliver(batch) {
      await accounting.ingest({
        $typeName: "penstock.accounting.v1.IngestRequest",
        events: batch.map((recorded) => recorded.event),
      });
    },
    stop: async () => undefined,
  };
};

/** An event that the ledger has not confirmed for this long is published again, in milliseconds. */
const overdueMs = 60_000;
const overdueCheckMs = 10_000;
const overdueBatch = 500;
const maxUnconfirmed = 200_000;

/**
 * Brings events to NATS JetStream. The journal keeps each until accounting says that the ledger has it; one that is not
 * confirmed in time is published again, so that an event which the stream lost is not lost.
 */
export function openNatsTransport(url: string): OpenTransport {
  return async (_mesh, journal, onError) => {
    // Loaded on first use: one process with everything never needs it.
    const { createUsagePublisher } = await import("#kit/nats/create-usage-publisher.ts");
    const publisher = createUsagePublisher({ url, name: "penstock ingress", onError });
    const unconfirmed = createUnconfirmedEvents(maxUnconfirmed, () => performance.now());
    const unsubscribe = publisher.subscribeConfirmations(journal.id, (sequences) => {
      unconfirmed.confirm(sequences);
      for (const sequence of sequences) {
        journal.confirm(sequence);
      }
    });

    async function deliver(batch: readonly RecordedEvent[]): Promise<void> {
      await publisher.publish(
        batch.map((recorded) => ({
          id: recorded.event.attemptId,
          payload: recorded.json,
          journalId: journal.id,
          journalSequence: recorded.sequence,
          ...(recorded.traceparent === undefined ? {} : { traceparent: recorded.traceparent }),
        })),
      );
      unconfirmed.add(batch);
    }

    const timer = setInterval(() => {
      const overdue = unconfirmed.overdue(overdueMs, overdueBatch);
      if (overdue.length > 0) {
        deliver(overdue).catch(onError);
      }
    }, overdueCheckMs);
    timer.unref();
    return {
      confirms: false,
      deliver,
      async stop() {
        clearInterval(timer);
        unsubscribe();
        await publisher.close();
      },
    };
  };
}
