import assert from "node:assert/strict";
import { test } from "node:test";
import { readAhead } from "./read-ahead.ts";

/** Gives two items, then ends or fails. */
async function* two(error?: Error): AsyncGenerator<string, void, void> {
  yield "a";
  yield "b";
  if (error !== undefined) {
    throw error;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("gives a slow reader what came before the source ended", async () => {
  const ahead = readAhead(two());
  await turn();
  assert.deepEqual(
    [await ahead.next(), await ahead.next(), await ahead.next()],
    [
      { done: false, value: "a" },
      { done: false, value: "b" },
      { done: true, value: undefined },
    ],
  );
});

test("fails after what came before the source failed", async () => {
  const ahead = readAhead(two(new Error("gone")));
  await turn();
  assert.equal((await ahead.next()).value, "a");
  assert.equal((await ahead.next()).value, "b");
  await assert.rejects(ahead.next(), /gone/);
});

test("hands over what nobody has asked for", async () => {
  const ahead = readAhead(two());
  await turn();
  assert.equal((await ahead.next()).value, "a");
  assert.deepEqual(ahead.rest(), ["b"]);
  assert.equal((await ahead.next()).done, true);
});

test("wakes a reader that waits", async () => {
  const ready = Promise.withResolvers<IteratorResult<string>>();
  const ahead = readAhead({ next: () => ready.promise });
  const next = ahead.next();
  ready.resolve({ done: true, value: undefined });
  assert.equal((await next).done, true);
});
