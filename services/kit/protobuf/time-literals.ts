import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** A duration of milliseconds, fractions included. A literal, because protobuf's own maker costs ten times as much. */
export function durationOf(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(seconds),
    nanos: Math.round((ms - seconds * 1000) * 1_000) * 1_000,
  };
}

/** A point in time from Unix milliseconds, which are whole. A literal, as `durationOf`. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1_000_000,
  };
}
