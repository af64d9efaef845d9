import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyHistogram } from "./latency-histogram.ts";

test("gives percentiles within one percent of the values", () => {
  const histogram = new LatencyHistogram();
  for (let value = 1; value <= 1_000; value += 1) {
    histogram.add(value / 10);
  }
  for (const [share, expected] of [
    [0.5, 50],
    [0.99, 99],
    [0.999, 99.9],
    [1, 100],
  ] as const) {
    const found = histogram.percentile(share);
    assert.ok(Math.abs(found - expected) / expected < 0.01, `${share}: ${found}, not ${expected}`);
  }
  assert.equal(histogram.total, 1_000);
});

test("keeps one slow value among many quick ones", () => {
  const histogram = new LatencyHistogram();
  for (let count = 0; count < 999; count += 1) {
    histogram.add(0.2);
  }
  histogram.add(40);
  assert.ok(histogram.percentile(0.99) < 0.21);
  assert.ok(histogram.percentile(1) > 39);
});

test("has no percentile of nothing", () => {
  assert.ok(Number.isNaN(new LatencyHistogram().percentile(0.5)));
});
