import { z } from "zod";
import { count, duration, percent, secret } from "#kit/config/scalars.ts";

const dayMs = 86_400_000;

/** The `accounting` section. */
export const accountingConfig = z
  .strictObject({
    retention: duration()
      .refine((ms) => ms >= 7 * dayMs, "rows are dropped by weeks: keep them for at least 7d")
      .prefault("90d")
      .describe("How long the row of each attempt is kept; whole weeks are dropped. Sums by hour and day are kept."),
  })
  .prefault({});

/** The settings of the ledger. */
export type AccountingConfig = z.output<typeof accountingConfig>;

const webUrl = z.url({ protocol: /^https?$/ });

/** The `alerts` section. Without destinations, alerts are only listed. */
export const alertsConfig = z
  .strictObject({
    webhooks: z
      .array(
        z.strictObject({
          url: webUrl.describe("Where alerts are posted as JSON."),
          secret: secret().describe("Signs each body: `x-penstock-signature: t=SECONDS,v1=HMAC-SHA256`."),
        }),
      )
      .max(20)
      .default([]),
    slack: z
      .array(z.strictObject({ url: webUrl.describe("An incoming webhook of Slack, or of what speaks like it.") }))
      .max(20)
      .default([]),
    error_rate: z
      .strictObject({
        share: percent().prefault("20%").describe("An alert is raised when more of a provider's attempts fail."),
        window: duration().prefault("5m").describe("Over how long attempts are counted."),
        min_attempts: count().prefault("50").describe("With fewer attempts in the window nothing is raised."),
      })
      .prefault({}),
  })
  .prefault({});

/** Where alerts go and when accounting raises its own. */
export type AlertsConfig = z.output<typeof alertsConfig>;
