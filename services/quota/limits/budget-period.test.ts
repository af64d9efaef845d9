import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isTimeZone, periodAt } from "./budget-period.ts";
import { budgetWindows } from "./limit-rule.ts";

const at = (text: string): number => Date.parse(text);
const iso = (ms: number): string => new Date(ms).toISOString();

test("windows follow the calendar of their zone", () => {
  const now = at("2026-11-22T23:30:12Z");
  const windows = budgetWindows.filter((window) => window !== "lifetime");
  assert.deepEqual(
    windows.map((window) => {
      const { startMs, endMs } = periodAt(window, "Europe/Berlin", now);
      return [window, iso(startMs), iso(endMs)];
    }),
    [
      ["minute", "2026-11-22T23:30:00.000Z", "2026-11-22T23:31:00.000Z"],
      ["hour", "2026-11-22T23:00:00.000Z", "2026-11-23T00:00:00.000Z"],
      ["day", "2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z"],
      // A Monday in Berlin, still Sunday in UTC.
      ["week", "2026-11-22T23:00:00.000Z", "2026-11-29T23:00:00.000Z"],
      ["month", "2026-10-31T23:00:00.000Z", "2026-11-30T23:00:00.000Z"],
    ],
  );
});

test("a day on which the clock is changed is one day, and the hour that is there twice is two", () => {
  const long = periodAt("day", "Europe/Berlin", at("2026-10-25T12:00:00Z"));
  assert.equal(long.endMs - long.startMs, 25 * 3_600_000);
  const short = periodAt("day", "Europe/Berlin", at("2026-03-29T12:00:00Z"));
  assert.equal(short.endMs - short.startMs, 23 * 3_600_000);
  const first = periodAt("hour", "Europe/Berlin", at("2026-10-25T00:30:00Z"));
  const second = periodAt("hour", "Europe/Berlin", at("2026-10-25T01:30:00Z"));
  assert.equal(first.endMs, second.startMs);
  assert.notEqual(first.name, second.name);
});

test("a lifetime has one window that does not end", () => {
  assert.deepEqual(periodAt("lifetime", "UTC", 1), { name: "", startMs: 0, endMs: Number.POSITIVE_INFINITY });
});

test("windows lie side by side, without gap and overlap, each under a name of its own", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...budgetWindows.filter((window) => window !== "lifetime")),
      fc.constantFrom("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"),
      fc.integer({ min: at("2020-01-01T00:00:00Z"), max: at("2035-01-01T00:00:00Z") }),
      (window, zone, nowMs) => {
        const period = periodAt(window, zone, nowMs);
        assert.ok(period.startMs <= nowMs && nowMs < period.endMs);
        assert.deepEqual(periodAt(window, zone, period.startMs), period);
        assert.deepEqual(periodAt(window, zone, period.endMs - 1), period);
        const next = periodAt(window, zone, period.endMs);
        assert.equal(next.startMs, period.endMs);
        assert.notEqual(next.name, period.name);
      },
    ),
  );
});

test("knows time zones by their names", () => {
  assert.deepEqual(["UTC", "Europe/Berlin", "Mars/Base"].map(isTimeZone), [true, true, false]);
});
