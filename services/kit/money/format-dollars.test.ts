import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDollars } from "./format-dollars.ts";

test("writes amounts exactly, with two decimals at least", () => {
  for (const [nanosUsd, text] of [
    [0n, "$0.00"],
    [1n, "$0.000000001"],
    [10_000_000n, "$0.01"],
    [12_500_000_000n, "$12.50"],
    [1_234_567_890_123n, "$1234.567890123"],
    [-250_000_000n, "-$0.25"],
  ] as const) {
    assert.equal(formatDollars(nanosUsd), text);
  }
});
