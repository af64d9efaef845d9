import { type Histogram, metrics } from "@opentelemetry/api";
import { type Outcome, OutcomeSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { GatewayCall } from "./pipeline/gateway-call.ts";

/** What the ingress counts. Labels are only words of its own, so their number is bounded. */
export interface IngressMetrics {
  requestOver(call: GatewayCall, outcome: Outcome, totalMs: number, firstByteMs: number | undefined): void;
}

/** What is read when metrics are asked for. */
export interface IngressGauges {
  readonly inFlight: () => number;
  readonly journalPending: () => number;
  readonly journalAgeMs: () => number;
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const outcomeNames = new Map<number, string>(
  OutcomeSchema.values.map((value) => [value.number, value.localName.toLowerCase()]),
);

/** Makes the instruments. */
export function createIngressMetrics(gauges: IngressGauges): IngressMetrics {
  const meter = metrics.getMeter("penstock.ingress");
  // Counted here and read when asked for: a counter of the library looks its attributes up for every request.
  const ended = new Map<Outcome, number>();
  meter
    .createObservableCounter("penstock_ingress_requests", { description: "Requests that ended, by outcome." })
    .addCallback((result) => {
      for (const [outcome, count] of ended) {
        result.observe(count, { outcome: outcomeNames.get(outcome) ?? "unknown" });
      }
    });
  const duration: Histogram = meter.createHistogram("penstock_ingress_request_duration_seconds", {
    description: "From the arrival of a request to the end of its answer.",
    advice: { explicitBucketBoundaries: buckets },
  });
  const firstByte: Histogram = meter.createHistogram("penstock_ingress_first_byte_seconds", {
    description: "From the arrival of a request to the first content of its answer.",
    advice: { explicitBucketBoundaries: buckets },
  });
  const observe = (name: string, description: string, read: () => number): void => {
    meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()));
  };
  observe("penstock_ingress_requests_in_flight", "Requests that run now.", gauges.inFlight);
  observe("penstock_ingress_journal_pending_records", "Journal records not confirmed.", gauges.journalPending);
  observe("penstock_ingress_journal_age_seconds", "Age of the oldest journal record that is not confirmed.", () => {
    return gauges.journalAgeMs() / 1000;
  });
  return {
    requestOver(_call, outcome, totalMs, firstByteMs) {
      ended.set(outcome, (ended.get(outcome) ?? 0) + 1);
      duration.record(totalMs / 1000);
      if (firstByteMs !== undefined) {
        firstByte.record(firstByteMs / 1000);
      }
    },
  };
}
