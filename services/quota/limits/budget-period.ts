import type { BudgetWindow } from "./limit-rule.ts";

/** One window of a budget. Times are milliseconds since 1970; the end is the beginning of the next. */
export interface BudgetPeriod {
  /** Unique among the windows of one budget: the local time of its beginning with its offset; empty for a lifetime. */
  readonly name: string;
  readonly startMs: number;
  /** Infinity for a lifetime. */
  readonly endMs: number;
}

const lifetime: BudgetPeriod = { name: "", startMs: 0, endMs: Number.POSITIVE_INFINITY };

/**
 * The window that a moment falls into, aligned to the calendar of the zone. A day of 23 or 25 hours is one day; the hour
 * that is there twice is two windows. Throws RangeError for an unknown zone.
 */
export function periodAt(window: BudgetWindow, zone: string, nowMs: number): BudgetPeriod {
  if (window === "lifetime") {
    return lifetime;
  }
  const now = Temporal.Instant.fromEpochMilliseconds(Math.floor(nowMs)).toZonedDateTimeISO(zone);
  const start = startOf(window, now);
  return {
    name: start.toString({ timeZoneName: "never", smallestUnit: "minute" }),
    startMs: start.epochMilliseconds,
    endMs: endOf(window, start).epochMilliseconds,
  };
}

/** Whether a name is one of a time zone. */
export function isTimeZone(zone: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    return true;
  } catch (error) {
    if (error instanceof RangeError) {
      return false;
    }
    throw error;
  }
}

function startOf(window: Exclude<BudgetWindow, "lifetime">, now: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
  switch (window) {
    case "minute":
    case "hour":
      return now.round({ smallestUnit: window, roundingMode: "floor" });
    case "day":
      return now.startOfDay();
    case "week":
      return now.subtract({ days: now.dayOfWeek - 1 }).startOfDay();
    case "month":
      return now.with({ day: 1 }).startOfDay();
  }
}

function endOf(window: Exclude<BudgetWindow, "lifetime">, start: Temporal.ZonedDateTime): Temporal.ZonedDateTime {
  switch (window) {
    case "minute":
      return start.add({ minutes: 1 });
    case "hour":
      return start.add({ hours: 1 });
    case "day":
      return start.add({ days: 1 }).startOfDay();
    case "week":
      return start.add({ days: 7 }).startOfDay();
    case "month":
      return start.add({ months: 1 }).startOfDay();
  }
}
