import { z } from "zod";
import { count, money, percent } from "#kit/config/scalars.ts";
import { isTimeZone } from "./budget-period.ts";
import { budgetWindows, type LimitRule, type LimitScope, type ScopeKind } from "./limit-rule.ts";

const plainScopes = ["organization", "team", "key", "user", "model", "provider"] as const;
const idOrEach = z.string().min(1).describe("An id, or `each` for a counter of its own for each.");

const scope = z.union(
  [
    ...plainScopes.map((kind) => z.strictObject({ [kind]: idOrEach })),
    z.strictObject({
      tag: z
        .string()
        .regex(/^[^=]+=.+$/, "a tag is written name=value, or name=each")
        .describe("A tag as name=value, or name=each for a counter of its own for each value."),
    }),
  ],
  { error: "expected one of organization, team, key, user, tag, model or provider, such as { team: each }" },
);

/** The `limits` section: what is limited beside the limits of single keys. */
export const limitsConfig = z
  .array(
    z
      .strictObject({
        scope,
        budget: money().optional().describe("The most that may be spent in a window, in US dollars."),
        window: z
          .enum(budgetWindows)
          .default("lifetime")
          .describe("The window of the budget; it follows the calendar, and weeks begin on Monday."),
        zone: z
          .string()
          .refine(isTimeZone, "is not a time zone such as Europe/Berlin")
          .default("UTC")
          .describe("The time zone of the window."),
        warn_at: z
          .union([percent(), z.array(percent())])
          .optional()
          .describe("The shares of the budget whose use raises an alert."),
        rpm: count().optional().describe("The most requests a minute."),
        tpm: count().optional().describe("The most input and output tokens a minute."),
        concurrency: count().optional().describe("The most requests that run at a time."),
      })
      .refine(
        ({ budget, rpm, tpm, concurrency }) => (budget ?? rpm ?? tpm ?? concurrency) !== undefined,
        "limits nothing: give budget, rpm, tpm or concurrency",
      ),
  )
  .default([]);

/** The limits of the configuration. */
export type LimitsConfig = z.output<typeof limitsConfig>;

/**
 * The rules of the configuration. A rule's id is made of what it limits, so that its counters go on when the file is
 * reordered or an amount is changed; two rules for the same are told apart by their order.
 */
export function rulesOfConfig(config: LimitsConfig): readonly LimitRule[] {
  const rules = config.flatMap((entry) => rulesOfEntry(entry));
  const seen = new Map<string, number>();
  return rules.map((rule) => {
    const earlier = seen.get(rule.id) ?? 0;
    seen.set(rule.id, earlier + 1);
    return earlier === 0 ? rule : { ...rule, id: `${rule.id}#${earlier + 1}` };
  });
}

function rulesOfEntry(entry: LimitsConfig[number]): readonly LimitRule[] {
  const limited = scopeOf(entry.scope);
  const name = `${limited.kind}${limited.tag === "" ? "" : `.${limited.tag}`}=${limited.value ?? "each"}`;
  const { budget, window, zone, warn_at: warnAt = [] } = entry;
  const rules: LimitRule[] = [];
  if (budget !== undefined) {
    rules.push({
      id: `${name}/budget/${window}${window === "lifetime" ? "" : `/${zone}`}`,
      scope: limited,
      metric: { kind: "budget", nanosUsd: budget, window, zone },
      warnAt: (Array.isArray(warnAt) ? warnAt : [warnAt]).map((share) => Math.round(share * 100)),
    });
  }
  for (const [kind, limit] of [
    ["requests_per_minute", entry.rpm],
    ["tokens_per_minute", entry.tpm],
    ["concurrency", entry.concurrency],
  ] as const) {
    if (limit !== undefined) {
      rules.push({ id: `${name}/${kind}`, scope: limited, metric: { kind, limit }, warnAt: [] });
    }
  }
  return rules;
}

function scopeOf(entry: LimitsConfig[number]["scope"]): LimitScope {
  const [named] = Object.entries(entry);
  // The schema takes nothing else than one of these names with a text.
  const [kind, value] = named as [ScopeKind, string];
  const [tag, wanted] = kind === "tag" ? splitTag(value) : ["", value];
  return { kind, tag, value: wanted === "each" ? undefined : wanted };
}

function splitTag(text: string): [string, string] {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}
