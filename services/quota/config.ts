import { z } from "zod";
import { duration, money } from "#kit/config/scalars.ts";

/** The `quota` section: how budgets are kept in memory and in Postgres. */
export const quotaConfig = z
  .strictObject({
    hold_ttl: duration()
      .prefault("120s")
      .describe(
        "How long a hold lasts that is neither settled nor renewed. At most 120s, or a crash eats budget longer.",
      ),
    slice_maximum: money()
      .prefault("$5")
      .describe("The most of one budget that a process takes to decide about in memory, however large the budget is."),
    idle: duration().prefault("30s").describe("When a process gives back the part of a budget that it does not use."),
    flush_interval: duration().prefault("1s").describe("How often Postgres is told what was spent."),
    grace: duration()
      .prefault("5s")
      .describe("How long budgets are served from memory while Postgres does not answer; then 503 quota_unavailable."),
    refill_timeout: duration()
      .prefault("250ms")
      .describe("How long Postgres may take while a request waits for its budget."),
  })
  .prefault({});

/** The settings of quota. */
export type QuotaConfig = z.output<typeof quotaConfig>;
