import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { Journal } from "#kit/journal/journal.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { EventTransport } from "./create-delivery.ts";

/** A transport with a life cycle. */
export interface OwnedTransport extends EventTransport {
  stop(): Promise<void>;
}

/** Opens a transport for one journal. */
export type OpenTransport = (mesh: Mesh, journal: Journal) => Promise<OwnedTransport>;

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

/** Brings events to NATS JetStream; the journal keeps each until accounting says that the ledger has it. */
export function openNatsTransport(url: string): OpenTransport {
  return async (_mesh, journal) => {
    // Loaded on first use: one process with everything never needs it.
    const { createUsagePublisher } = await import("#kit/nats/create-usage-publisher.ts");
    const publisher = createUsagePublisher({ url, name: "penstock ingress" });
    const unsubscribe = publisher.subscribeConfirmations(journal.id, (sequences) => {
      for (const sequence of sequences) {
        journal.confirm(sequence);
      }
    });
    return {
      confirms: false,
      deliver: (batch) =>
        publisher.publish(
          batch.map((recorded) => ({
            id: recorded.event.attemptId,
            payload: recorded.json,
            journalId: journal.id,
            journalSequence: recorded.sequence,
          })),
        ),
      async stop() {
        unsubscribe();
        await publisher.close();
      },
    };
  };
}
