import { z } from "zod";
import { duration, money, tokenPrice } from "#kit/config/scalars.ts";

const targetName = z
  .string()
  .regex(/^[^/\s]+\/\S+$/, "a target is written provider/model")
  .describe("The provider's name, a slash, and the provider's own name of the model.");

const modelConfig = z.strictObject({
  route: z
    .array(
      z.strictObject({
        target: targetName,
        weight: z.number().positive().default(1).describe("Its share of the traffic among the route's targets."),
      }),
    )
    .min(1)
    .describe("The targets that share the model's traffic; when one fails, the others are tried."),
  fallback: z.array(z.string()).default([]).describe("Models whose routes are tried, in order, when this one fails."),
  retry: z
    .strictObject({
      attempts: z
        .number()
        .int()
        .min(1)
        .max(10)
        .default(3)
        .describe("The most attempts for one request, over all targets and fallbacks together."),
    })
    .prefault({}),
  timeout: z
    .strictObject({
      connect: duration().prefault("3s").describe("How long a connection may take."),
      first_token: duration()
        .prefault("2m")
        .describe("How long the first content may take; for an answer that does not stream, the whole of it."),
      idle: duration().prefault("60s").describe("How long an answer may pause."),
      total: duration().prefault("15m").describe("How long a request may take, with all its attempts."),
    })
    .prefault({}),
});

/** The `models` section: the names that requests use. */
export const modelsConfig = z.record(z.string().min(1).max(200), modelConfig).default({});

/** The models, by name. */
export type ModelsConfig = z.output<typeof modelsConfig>;
/** One model. */
export type ModelConfig = ModelsConfig[string];

/** The `prices` section: what the catalogue does not know, or knows otherwise. */
export const pricesConfig = z
  .strictObject({
    overrides: z
      .record(
        targetName,
        z.strictObject({
          input: tokenPrice().describe("A million input tokens, such as $0.10/M."),
          output: tokenPrice().describe("A million output tokens."),
          cache_read: tokenPrice()
            .optional()
            .describe("A million tokens read from the provider's cache; else as input."),
          cache_write: tokenPrice()
            .optional()
            .describe("A million tokens written to the provider's cache; else as input."),
          request: money().optional().describe("One request, whatever its tokens."),
        }),
      )
      .default({})
      .describe("Prices by target."),
  })
  .prefault({});

/** Prices that an operator set. */
export type PricesConfig = z.output<typeof pricesConfig>;
