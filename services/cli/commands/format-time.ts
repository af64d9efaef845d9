import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

/** A time in UTC to the second; empty for none. */
export function formatTime(time: Timestamp | undefined): string {
  return time === undefined ? "" : timestampDate(time).toISOString().replace("T", " ").replace(/\..*$/, "Z");
}
