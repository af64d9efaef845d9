import type { Buffer } from "node:buffer";
import { randomUUIDv7 } from "node:crypto";
import { create, fromJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { eventRecord, type Journal, type JournalRecord, openedRecord } from "#kit/journal/journal.ts";
import { quoteJson } from "#kit/protobuf/quote-json.ts";
import { writeUsageEventJson } from "./usage-event-json.ts";

/** What the journal remembers of a request that has a hold, so that a crash does not lose what it may have cost. */
export interface OpenedRequest {
  readonly requestId: string;
  readonly keyId: string;
  readonly teamId: string;
  readonly organizationId: string;
  readonly model: string;
  readonly leaseIds: readonly string[];
  readonly heldNanosUsd: bigint;
  /** Unix milliseconds. */
  readonly startedAt: number;
}

/** An event on its way to the ledger, with its place in the journal. */
export interface RecordedEvent {
  readonly sequence: bigint;
  readonly event: UsageEvent;
  /** The event in the proto3 JSON encoding. */
  readonly json: string;
  /** The W3C trace context of its request, where requests are traced. */
  readonly traceparent?: string | undefined;
}

/** Takes events on to the ledger. */
export interface EventDelivery {
  /** Takes an event that is in the journal. */
  offer(event: RecordedEvent): void;
  /** True when no more can be taken: new requests must wait. */
  readonly full: boolean;
}

/** What the recorder needs. */
export interface UsageRecorderDeps {
  readonly journal: Journal;
  readonly delivery: EventDelivery;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
}

/** After a record that could not be written, requests are refused for this long; then the next may try. */
const blockedMs = 1_000;

/** Writes usage events to the journal, then hands them on. */
export interface UsageRecorder {
  /** Why no request may start at the moment; undefined when one may. */
  readonly blocked: string | undefined;
  /** Remembers a request before it is sent to a provider. Returns what `close` takes. */
  open(request: OpenedRequest): bigint;
  /** Forgets an opened request, all of whose events are recorded. */
  close(opened: bigint): void;
  /** Records an event; calls back once it is in the journal, or could not be written. */
  record(event: UsageEvent, onWritten: (error: Error | undefined) => void, traceparent?: string): void;
  /** Takes up what an earlier process left: events that may not have arrived, and requests whose end is not known. */
  recover(records: readonly JournalRecord[]): void;
}

/** Makes a recorder. */
export function createUsageRecorder(deps: UsageRecorderDeps): UsageRecorder {
  const { journal, delivery } = deps;
  let failedAt = Number.NEGATIVE_INFINITY;

  function note(error: Error | undefined): void {
    failedAt = error === undefined ? Number.NEGATIVE_INFINITY : deps.monotonicNow();
  }

  function record(event: UsageEvent, onWritten: (error: Error | undefined) => void, traceparent?: string): void {
    const json = writeUsageEventJson(event);
    const sequence = journal.append(eventRecord, json, (error) => {
      note(error);
      // An event that the journal could not take is still handed on: it is lost only if the process dies now.
      delivery.offer({ sequence, event, json, traceparent });
      onWritten(error);
    });
  }

  return {
    get blocked() {
      if (journal.full) {
        return "the usage journal is full";
      }
      if (deps.monotonicNow() - failedAt < blockedMs) {
        return "the usage journal cannot be written";
      }
      return delivery.full ? "too many usage events wait for the ledger" : undefined;
    },
    open: (request) => journal.append(openedRecord, writeOpened(request), note),
    close: (opened) => journal.confirm(opened),
    record,
    recover(records) {
      const finished = new Set<string>();
      for (const { kind, sequence, payload } of records) {
        if (kind === eventRecord) {
          const json = payload.toString("utf8");
          const event = fromJsonString(UsageEventSchema, json, { ignoreUnknownFields: true });
          if (event.final) {
            finished.add(event.requestId);
          }
          delivery.offer({ sequence, event, json });
        }
      }
      for (const { kind, sequence, payload } of records) {
        if (kind === openedRecord) {
          const opened = parseOpened(payload);
          if (!finished.has(opened.requestId)) {
            record(lostEvent(opened), () => journal.confirm(sequence));
          } else {
            journal.confirm(sequence);
          }
        }
      }
    },
  };
}

/** By hand, as the events: it is written for every request that has a hold. */
function writeOpened(request: OpenedRequest): string {
  const { requestId, keyId, teamId, organizationId, model, leaseIds, heldNanosUsd, startedAt } = request;
  return (
    `{"requestId":${quoteJson(requestId)},"keyId":${quoteJson(keyId)},"teamId":${quoteJson(teamId)},` +
    `"organizationId":${quoteJson(organizationId)},"model":${quoteJson(model)},"leaseIds":${JSON.stringify(leaseIds)},` +
    `"heldNanosUsd":"${heldNanosUsd}","startedAt":${startedAt}}`
  );
}

function parseOpened(payload: Buffer): OpenedRequest {
  // The journal's checksum says that open() above wrote exactly this.
  const value = JSON.parse(payload.toString("utf8")) as Omit<OpenedRequest, "heldNanosUsd"> & { heldNanosUsd: string };
  return { ...value, heldNanosUsd: BigInt(value.heldNanosUsd) };
}

/** Nobody knows what the provider billed for a request that the gateway died in; the hold is the upper bound. */
function lostEvent(opened: OpenedRequest): UsageEvent {
  return create(UsageEventSchema, {
    attemptId: randomUUIDv7(),
    requestId: opened.requestId,
    keyId: opened.keyId,
    teamId: opened.teamId,
    organizationId: opened.organizationId,
    requestedModel: opened.model,
    outcome: Outcome.LOST,
    leaseIds: [...opened.leaseIds],
    costNanosUsd: opened.heldNanosUsd,
    startTime: timestampFromMs(opened.startedAt),
    usage: { estimated: true },
    final: true,
  });
}
