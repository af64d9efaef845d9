import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { eventRecord, type Journal, type JournalRecord, openedRecord } from "#kit/journal/journal.ts";
import { createUsageRecorder, type RecordedEvent } from "./usage-recorder.ts";
import { writeUsageEventJson } from "./usage-event-json.ts";

/** A journal whose writes end as the test says, at once. */
function fakeJournal() {
  const state = { error: undefined as Error | undefined, full: false, sequence: 0n, confirmed: [] as bigint[] };
  const records: JournalRecord[] = [];
  const journal = {
    get full() {
      return state.full;
    },
    append(kind: number, payload: string, onWritten?: (error: Error | undefined) => void) {
      state.sequence += 1n;
      records.push({ kind, sequence: state.sequence, payload: Buffer.from(payload) });
      queueMicrotask(() => onWritten?.(state.error));
      return state.sequence;
    },
    confirm: (sequence: bigint) => void state.confirmed.push(sequence),
    // The recorder uses nothing else of a journal.
  } as unknown as Journal;
  return { journal, state, records };
}

function recorderOn(journal: Journal) {
  const offered: RecordedEvent[] = [];
  const clock = { now: 0 };
  const delivery = { offer: (event: RecordedEvent) => void offered.push(event), full: false };
  const recorder = createUsageRecorder({ journal, delivery, monotonicNow: () => clock.now });
  return { recorder, offered, clock, delivery };
}

const event = (requestId: string, final: boolean): UsageEvent =>
  create(UsageEventSchema, { attemptId: `attempt-${requestId}`, requestId, final, outcome: Outcome.SUCCEEDED });
const opened = {
  requestId: "r1",
  keyId: "k",
  teamId: "",
  organizationId: "o",
  model: 'a "model"',
  leaseIds: ["l"],
  heldNanosUsd: 12_345_678_901_234_567_890n,
  startedAt: 1_700_000_000_000,
};

test("hands an event on only after it is in the journal", async () => {
  const { journal } = fakeJournal();
  const { recorder, offered } = recorderOn(journal);
  const written = new Promise<void>((resolve) => recorder.record(event("r1", true), () => resolve()));
  assert.equal(offered.length, 0);
  await written;
  assert.equal(offered[0]?.event.requestId, "r1");
});

test("refuses requests for a while after a record could not be written, then lets one try", async () => {
  const { journal, state } = fakeJournal();
  const { recorder, clock } = recorderOn(journal);
  state.error = new Error("no space");
  await new Promise<void>((resolve) => recorder.record(event("r1", true), () => resolve()));
  assert.match(recorder.blocked ?? "", /cannot be written/);
  clock.now = 1_001;
  assert.equal(recorder.blocked, undefined);
});

test("refuses requests while the journal or the delivery is full", () => {
  const { journal, state } = fakeJournal();
  const { recorder, delivery } = recorderOn(journal);
  state.full = true;
  assert.match(recorder.blocked ?? "", /full/);
  state.full = false;
  delivery.full = true;
  assert.match(recorder.blocked ?? "", /wait for the ledger/);
});

test("delivers again what a predecessor left, and charges a request that it died in at what was held", async () => {
  const before = fakeJournal();
  recorderOn(before.journal).recorder.open(opened);
  recorderOn(before.journal).recorder.open({ ...opened, requestId: "r2" });
  const left = [
    ...before.records,
    { kind: eventRecord, sequence: 9n, payload: Buffer.from(writeUsageEventJson(event("r2", true))) },
  ];
  assert.deepEqual(
    before.records.map((record) => record.kind),
    [openedRecord, openedRecord],
  );
  const { journal, state } = fakeJournal();
  const { recorder, offered } = recorderOn(journal);
  recorder.recover(left);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    offered.map(({ event: { requestId, outcome, costNanosUsd } }) => [requestId, outcome, costNanosUsd]),
    [
      ["r2", Outcome.SUCCEEDED, 0n],
      ["r1", Outcome.LOST, opened.heldNanosUsd],
    ],
  );
  assert.equal(offered[1]?.event.requestedModel, opened.model);
  // Both opened records are done with; the event stays until the ledger has it.
  assert.deepEqual(
    state.confirmed.toSorted((a, b) => Number(a - b)),
    [1n, 2n],
  );
});
