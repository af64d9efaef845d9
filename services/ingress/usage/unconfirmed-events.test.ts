import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createUnconfirmedEvents } from "./unconfirmed-events.ts";
import type { RecordedEvent } from "./usage-recorder.ts";

const event = (sequence: bigint): RecordedEvent => ({ sequence, event: create(UsageEventSchema), json: "{}" });
const sequences = (events: readonly RecordedEvent[]): readonly bigint[] => events.map((recorded) => recorded.sequence);

test("names what was not confirmed in time, oldest first, and again later once it was published again", () => {
  let now = 0;
  const events = createUnconfirmedEvents(10, () => now);
  events.add([event(1n), event(2n)]);
  now = 50;
  events.add([event(3n)]);
  events.confirm([2n]);
  now = 100;
  assert.deepEqual(sequences(events.overdue(60, 10)), [1n]);
  events.add([event(1n)]);
  assert.deepEqual(sequences(events.overdue(60, 10)), []);
  now = 200;
  assert.deepEqual(sequences(events.overdue(60, 1)), [3n]);
  assert.deepEqual(sequences(events.overdue(60, 10)), [3n, 1n]);
});

test("remembers no more than it may", () => {
  const events = createUnconfirmedEvents(2, () => 0);
  events.add([event(1n), event(2n), event(3n)]);
  assert.equal(events.size, 2);
});
