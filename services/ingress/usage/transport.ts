import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { eventRecord, type Journal } from "#kit/journal/journal.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { EventTransport } from "./create-delivery.ts";

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

/**
 * Brings events to NATS JetStream. The journal keeps each until accounting says that the ledger has it; one that is not
 * confirmed in time is read back and published again, so that an event which the stream lost is not lost.
 */
export function openNatsTransport(url: string): OpenTransport {
  return async (_mesh, journal, onError) => {
    // Loaded on first use: one process with everything never needs it.
    const { createUsagePublisher } = await import("#kit/nats/create-usage-publisher.ts");
    const publisher = createUsagePublisher({ url, name: "penstock ingress", onError });
    const unsubscribe = publisher.subscribeConfirmations(journal.id, (sequences) => {
      for (const sequence of sequences) {
        journal.confirm(sequence);
      }
    });

    async function publishAgain(): Promise<void> {
      const overdue = journal.readPending({ kind: eventRecord, olderThanMs: overdueMs, limit: overdueBatch });
      await publisher.publish(
        overdue.map(({ sequence, payload }) => ({
          id: attemptIdOf(payload),
          payload,
          journalId: journal.id,
          journalSequence: sequence,
        })),
      );
    }

    let publishing = false;
    const timer = setInterval(() => {
      if (!publishing) {
        publishing = true;
        publishAgain()
          .catch(onError)
          .finally(() => {
            publishing = false;
          });
      }
    }, overdueCheckMs);
    timer.unref();
    return {
      confirms: false,
      deliver: (batch) =>
        publisher.publish(
          batch.map((recorded) => ({
            id: recorded.event.attemptId,
            payload: recorded.json,
            journalId: journal.id,
            journalSequence: recorded.sequence,
            ...(recorded.traceparent === undefined ? {} : { traceparent: recorded.traceparent }),
          })),
        ),
      async stop() {
        clearInterval(timer);
        unsubscribe();
        await publisher.close();
      },
    };
  };
}

function attemptIdOf(payload: Buffer): string {
  // The journal's checksum says that the recorder wrote this, as an event in the proto3 JSON encoding.
  const event = JSON.parse(payload.toString("utf8")) as { readonly attemptId?: string };
  return event.attemptId ?? "";
}
