import { type Duration, type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type TimelineEntry, TimelineKind } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { RecordedAttempt } from "./store/store.ts";

/** Puts what is known of the attempts of a request in order of time. */
export function buildTimeline(attempts: readonly RecordedAttempt[]): TimelineEntry[] {
  return attempts
    .flatMap(({ event, ingestTimeMs }) => {
      const entry = (kind: TimelineKind, time: Timestamp | undefined): TimelineEntry[] =>
        time === undefined
          ? []
          : [
              {
                $typeName: "penstock.accounting.v1.TimelineEntry",
                kind,
                time,
                attemptId: event.attemptId,
                attemptIndex: event.attemptIndex,
              },
            ];
      return [
        ...entry(TimelineKind.ATTEMPT_STARTED, event.startTime),
        ...entry(TimelineKind.FIRST_CONTENT, later(event.startTime, event.firstTokenLatency)),
        ...entry(TimelineKind.ATTEMPT_ENDED, later(event.startTime, event.totalLatency)),
        ...entry(TimelineKind.RECORDED, timestampFromMs(ingestTimeMs)),
      ];
    })
    .toSorted((a, b) => compareTimes(a.time, b.time));
}

function compareTimes(a: Timestamp | undefined, b: Timestamp | undefined): number {
  return Number((a?.seconds ?? 0n) - (b?.seconds ?? 0n)) || (a?.nanos ?? 0) - (b?.nanos ?? 0);
}

function later(time: Timestamp | undefined, by: Duration | undefined): Timestamp | undefined {
  if (time === undefined || by === undefined) {
    return undefined;
  }
  const nanos = time.nanos + by.nanos;
  const carry = nanos >= 1_000_000_000 ? 1 : 0;
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: time.seconds + by.seconds + BigInt(carry),
    nanos: nanos - carry * 1_000_000_000,
  };
}
