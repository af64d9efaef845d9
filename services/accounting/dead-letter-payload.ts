import { fromJson, type JsonValue, toJsonString } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";

/** Writes an event that cannot be stored: in proto3 JSON where that can hold it, else with all its fields as they are. */
export function writeDeadLetter(event: UsageEvent): string {
  try {
    return toJsonString(UsageEventSchema, event);
  } catch {
    // A time out of range or the like is often just what makes an event one that cannot be stored.
    return JSON.stringify(event, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  }
}

/** Reads the event of a dead letter, or says why it is none. */
export function readDeadLetter(
  payload: string,
): { readonly event: UsageEvent } | { readonly event?: undefined; readonly problem: string } {
  try {
    // What is no JSON value cannot come out of JSON.parse.
    const json = JSON.parse(payload) as JsonValue;
    return { event: fromJson(UsageEventSchema, json, { ignoreUnknownFields: true }) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : "is no usage event" };
  }
}
