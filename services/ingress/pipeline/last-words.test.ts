import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  type AttemptStarted,
  AttemptStartedSchema,
  RouterEventSchema,
} from "#gen/penstock/router/v1/router_service_pb.ts";
import { readLastWords } from "./last-words.ts";

const start = (index: number): AttemptStarted =>
  create(AttemptStartedSchema, { attemptId: `a${index}`, attemptIndex: index });
const started = (index: number) =>
  create(RouterEventSchema, { event: { case: "attemptStarted", value: start(index) } });
const finished = (index: number) =>
  create(RouterEventSchema, { event: { case: "attemptFinished", value: { attemptId: `a${index}` } } });
const read = (events: ReturnType<typeof started>[], current: AttemptStarted | undefined) => {
  const { ended, running } = readLastWords(events, current);
  return [ended.map((each) => each.started.attemptId), running?.attemptId];
};

test("finds the attempts of which the ingress had not heard when its caller left", () => {
  assert.deepEqual(read([started(0)], undefined), [[], "a0"]);
  assert.deepEqual(read([started(0), finished(0), started(1)], start(0)), [["a0"], "a1"]);
  assert.deepEqual(read([started(0), finished(0), started(1)], start(1)), [[], "a1"]);
  assert.deepEqual(read([started(0), finished(0)], start(0)), [["a0"], undefined]);
  assert.deepEqual(read([], start(0)), [[], "a0"]);
});
