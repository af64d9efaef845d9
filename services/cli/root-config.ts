import { z } from "zod";
import { accountingConfig, alertsConfig } from "../accounting/module.ts";
import { limitsConfig, quotaConfig } from "../quota/module.ts";
import { cacheConfig } from "../cache/module.ts";
import { providersConfig } from "../connector/module.ts";
import { journalConfig, serverConfig } from "../ingress/module.ts";
import { modelsConfig, pricesConfig } from "../router/module.ts";

const baseUrl = z.url({ protocol: /^https?$/ });

/** The whole file: each section is the schema of the service that owns it. */
export const rootConfig = z.strictObject({
  server: serverConfig,
  storage: z
    .strictObject({
      database: z
        .string()
        .regex(/^(embedded|postgres(ql)?:\/\/.+)$/, "a database is `embedded` or postgres://…")
        .default("embedded")
        .describe("Where keys, budgets and the ledger are: `embedded` starts a Postgres of its own."),
      bus: z
        .string()
        .regex(/^(embedded|nats:\/\/.+)$/, "a bus is `embedded` or nats://…")
        .default("embedded")
        .describe("How usage events reach the ledger: `embedded` calls accounting directly."),
      directory: z.string().default("./.penstock").describe("Where the journal and the embedded Postgres are."),
    })
    .prefault({}),
  mesh: z
    .strictObject({
      listen: z
        .string()
        .regex(/^.+:\d{1,5}$/, "an address is written host:port")
        .optional()
        .describe("Where this process takes calls from the others; absent when it takes none."),
      services: z
        .strictObject({
          router: baseUrl.optional(),
          quota: baseUrl.optional(),
          cache: baseUrl.optional(),
          accounting: baseUrl.optional(),
          connector: z.union([baseUrl, z.record(z.string(), baseUrl)]).optional(),
        })
        .prefault({})
        .describe("Where services are that this process does not host; connectors by provider."),
    })
    .prefault({}),
  providers: providersConfig,
  models: modelsConfig,
  prices: pricesConfig,
  cache: cacheConfig,
  limits: limitsConfig,
  quota: quotaConfig,
  accounting: accountingConfig,
  alerts: alertsConfig,
  journal: journalConfig,
  telemetry: z
    .strictObject({
      otlp_endpoint: baseUrl.optional().describe("Where spans go over OTLP/HTTP; absent: nowhere."),
      log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
    })
    .prefault({}),
});

/** The configuration of one process. */
export type RootConfig = z.output<typeof rootConfig>;
