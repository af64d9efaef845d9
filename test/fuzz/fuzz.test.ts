import assert from "node:assert/strict";
import { test } from "node:test";
import { describeFinding, fuzzInThread } from "./fuzz-in-thread.ts";
import { mutateJson } from "./mutate-json.ts";
import { createRandom } from "./random.ts";

test("20,000 damaged answers and requests: none ends the program, hangs, or passes for what it is not", async () => {
  const findings = await fuzzInThread(1, 20_000);
  assert.deepEqual(findings.map(describeFinding), []);
});

test("a seed makes the same mutant again", () => {
  const value = { a: [1, { b: "c" }], d: null };
  const mutants = [7, 7, 8].map((seed) => JSON.stringify(mutateJson(value, createRandom(seed))));
  assert.equal(mutants[0], mutants[1]);
  assert.notEqual(mutants[0], mutants[2]);
});
