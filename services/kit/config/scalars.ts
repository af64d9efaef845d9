import { z } from "zod";
import { Secret } from "./secret.ts";

/** A setting written as text (or, where that is clear, as a number) and used as an Output. */
export type Scalar<Output> = z.ZodType<Output, string | number>;

const maxInt64 = 2n ** 63n - 1n;
const nanosPerDollar = 9;

const durationUnitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const byteUnits: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
const countUnits: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9 };

// Defaults of these types are given with .prefault("15m"), the text; .default() takes the parsed value.

/** A time span such as `250ms`, `20s`, `15m`, `1h30m` or `7d`, in milliseconds. */
export function duration(): Scalar<number> {
  return scalar("a duration such as 250ms, 20s, 15m, 1h30m or 7d", (text) => {
    if (text === "0") {
      return 0;
    }
    if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) {
      return undefined;
    }
    let totalMs = 0;
    for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)) {
      totalMs += Number(amount) * (durationUnitsMs[unit ?? ""] ?? Number.NaN);
    }
    return Number.isSafeInteger(totalMs) ? totalMs : undefined;
  });
}

/** A size such as `64MiB`, `1GB` or `512`, in bytes. */
export function byteSize(): Scalar<number> {
  return scalar("a size such as 512, 64KiB, 64MiB or 1GB", (text) => multiple(text, byteUnits));
}

/** A whole number such as `600`, `10k` or `2M`. */
export function count(): Scalar<number> {
  return scalar("a whole number such as 600, 10k or 2M", (text) => multiple(text, countUnits));
}

/** A share such as `80%`, as a number from 0 to 1. */
export function percent(): Scalar<number> {
  return scalar("a percentage from 0% to 100%", (text) => {
    const [, amount] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
    const value = Number(amount) / 100;
    return value <= 1 ? value : undefined;
  });
}

/** An amount of US dollars such as `$500` or `$0.10`, in nano-dollars, exact. */
export function money(): Scalar<bigint> {
  return scalar("an amount in US dollars such as $500 or $0.10", (text) => {
    const [, amount] = /^\$(.+)$/.exec(text) ?? [];
    return amount === undefined ? undefined : parseDecimal(amount, nanosPerDollar);
  });
}

/** A price such as `$0.10/M` (a million tokens) or `$0.0001/K` (a thousand), in nano-dollars per million, exact. */
export function tokenPrice(): Scalar<bigint> {
  return scalar("a price per million tokens such as $0.10/M", (text) => {
    const [, amount, unit] = /^\$([^/]+)\/([MmKk])$/.exec(text) ?? [];
    if (amount === undefined || unit === undefined) {
      return undefined;
    }
    return parseDecimal(amount, unit.toLowerCase() === "k" ? nanosPerDollar + 3 : nanosPerDollar);
  });
}

/** `true` or `false`, also as text, so that a variable may give it. */
export function flag(): z.ZodType<boolean, boolean | string> {
  return z.union([z.boolean(), z.string()], { error: "expected true or false" }).transform((value, ctx) => {
    if (typeof value === "boolean") {
      return value;
    }
    if (value === "true" || value === "false") {
      return value === "true";
    }
    ctx.addIssue({ code: "custom", message: "expected true or false" });
    return z.NEVER;
  });
}

/** A text that must never be shown. Not empty. */
export function secret(): z.ZodType<Secret, string> {
  return z
    .string({ error: "expected a text in quotes" })
    .min(1, { error: "is empty; leave it out, or give the variable a value" })
    .transform((text) => new Secret(text));
}

function scalar<Output>(what: string, parse: (text: string) => Output | undefined): Scalar<Output> {
  return z
    .union([z.string(), z.number()], { error: `expected ${what}` })
    .meta({ description: what })
    .transform((value, ctx) => {
      const parsed = parse(String(value).trim());
      if (parsed === undefined) {
        // The value may be a secret in the wrong place: it is not repeated.
        ctx.addIssue({ code: "custom", message: `expected ${what}` });
        return z.NEVER;
      }
      return parsed;
    });
}

function multiple(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, amount, unit] = /^(\d[\d_]*(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : units[unit.toLowerCase()];
  if (amount === undefined || factor === undefined) {
    return undefined;
  }
  const value = Number(amount.replaceAll("_", "")) * factor;
  // 1.1 × 1e6 is not exactly 1100000 in floating point.
  const rounded = Math.round(value);
  return Number.isSafeInteger(rounded) && Math.abs(value - rounded) < 1e-6 ? rounded : undefined;
}

/** A decimal times ten to `digits`, without floats; undefined when it has more decimals or does not fit an int64. */
function parseDecimal(text: string, digits: number): bigint | undefined {
  const [, whole, fraction = ""] = /^(\d+|\d{1,3}(?:[,_]\d{3})+)(?:\.(\d+))?$/.exec(text) ?? [];
  const significant = fraction.replace(/0+$/, "");
  if (whole === undefined || significant.length > digits) {
    return undefined;
  }
  const value = BigInt(whole.replaceAll(/[,_]/g, "") + significant.padEnd(digits, "0"));
  return value <= maxInt64 ? value : undefined;
}
