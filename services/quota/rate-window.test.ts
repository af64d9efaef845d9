import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RateWindow } from "./rate-window.ts";

test("admits up to the limit, and again when the first second is a minute old", () => {
  const window = new RateWindow(3);
  for (const nowMs of [500, 999, 30_000]) {
    assert.equal(window.fits(1, nowMs), true);
    window.add(1, nowMs);
  }
  assert.equal(window.fits(1, 60_999), false);
  assert.equal(window.retryDelayMs(1, 60_999), 1);
  assert.equal(window.fits(1, 61_000), true);
  assert.equal(window.used(61_000), 1);
  assert.equal(window.resetDelayMs(61_000), 30_000);
});

test("admits more than the limit at once only to an empty window", () => {
  const window = new RateWindow(100);
  assert.equal(window.fits(1_000, 5_000), true);
  window.add(1_000, 5_000);
  assert.equal(window.fits(1, 65_999), false);
  assert.equal(window.retryDelayMs(1_000, 65_999), 1);
  assert.equal(window.fits(1_000, 66_000), true);
});

test("admits nothing at a limit of 0, and never will", () => {
  const window = new RateWindow(0);
  assert.equal(window.fits(1, 1_000), false);
  assert.equal(window.retryDelayMs(1, 1_000), Number.POSITIVE_INFINITY);
});

test("gives back what was not used, where it was counted", () => {
  const window = new RateWindow(100);
  const bucket = window.add(90, 1_000);
  window.correct(bucket, 90, 10, 20_000);
  assert.equal(window.used(20_000), 10);
  assert.equal(window.used(62_000), 0);
  window.correct(bucket, 90, 10, 63_000);
  assert.equal(window.used(63_000), 0);
});

test("counts what was used beyond from the time it is known", () => {
  const window = new RateWindow(100);
  const bucket = window.add(10, 1_000);
  window.correct(bucket, 10, 60, 20_000);
  assert.equal(window.used(62_000), 50);
  assert.equal(window.used(81_000), 0);
});

test("never admits more than the limit in 60 s, and a refusal ends exactly when it says", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.record({ waitMs: fc.nat(20_000), units: fc.integer({ min: 1, max: 8 }) }), { maxLength: 60 }),
      (limit, demands) => {
        const window = new RateWindow(limit);
        const admitted: { readonly atMs: number; readonly units: number }[] = [];
        let nowMs = 10_000;
        for (const { waitMs, units } of demands) {
          nowMs += waitMs;
          if (!window.fits(units, nowMs)) {
            const delayMs = window.retryDelayMs(units, nowMs);
            assert.ok(delayMs > 0);
            assert.equal(window.fits(units, nowMs + delayMs - 1), false);
            nowMs += delayMs;
            assert.equal(window.fits(units, nowMs), true);
          }
          window.add(units, nowMs);
          admitted.push({ atMs: nowMs, units });
          const last = admitted.filter((each) => each.atMs > nowMs - 60_000);
          const used = last.reduce((sum, each) => sum + each.units, 0);
          assert.ok(used <= limit || last.length === 1);
        }
      },
    ),
  );
});
