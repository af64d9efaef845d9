import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { withDeadline } from "./with-deadline.ts";

test("what is there in time is given, and what fails in time fails", async () => {
  assert.equal(await withDeadline(Promise.resolve(7), 1_000), 7);
  await assert.rejects(withDeadline(Promise.reject(new RangeError("no")), 1_000), RangeError);
});

test("what does not come is given up", async () => {
  await assert.rejects(withDeadline(new Promise(() => undefined), 20), { name: "DeadlineError" });
});

test("an answer that waits while this process is busy is not too late", async () => {
  const answer = withDeadline(pause(10, "answer"), 50);
  const busyUntil = performance.now() + 200;
  while (performance.now() < busyUntil) {
    // Nothing can be heard in here.
  }
  assert.equal(await answer, "answer");
});
