import assert from "node:assert/strict";
import { test } from "node:test";
import { estimateTokens } from "./estimate-tokens.ts";

const never = new AbortController().signal;
const estimate = (...texts: readonly string[]): Promise<number> => estimateTokens({ texts, otherTokens: 0 }, never);

test("counts as a tokenizer does, marks of the tokenizer's own included as text", async () => {
  assert.equal(await estimate(), 0);
  assert.equal(await estimate("hello world"), 2);
  assert.ok((await estimate("<|endoftext|>")) > 1);
  assert.equal(await estimateTokens({ texts: ["hello"], otherTokens: 10 }, never), 11);
});

test("takes what is longer than it counts to go on as it began", async () => {
  const text = "hello world ".repeat(100_000);
  const half = await estimate(text.slice(0, 600_000));
  const whole = await estimate(text.slice(0, 600_000), text.slice(600_000));
  assert.ok(Math.abs(whole - 2 * half) <= whole / 100, `${whole} of ${half}`);
});

test("stops when nobody waits for it any more", async () => {
  const left = new AbortController();
  left.abort();
  assert.equal(await estimateTokens({ texts: ["hello world ".repeat(10_000)], otherTokens: 0 }, left.signal), 0);
});
