import assert from "node:assert/strict";
import { inspect } from "node:util";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { z } from "zod";
import { byteSize, count, duration, flag, money, percent, secret, tokenPrice } from "./scalars.ts";
import { Secret } from "./secret.ts";

const cases: readonly {
  name: string;
  type: z.ZodType;
  good: readonly (readonly [unknown, unknown])[];
  bad: unknown[];
}[] = [
  {
    name: "duration",
    type: duration(),
    good: [
      ["250ms", 250],
      ["20s", 20_000],
      ["1.5s", 1_500],
      ["15m", 900_000],
      ["1h30m", 5_400_000],
      ["7d", 604_800_000],
      ["2w", 1_209_600_000],
      ["0", 0],
      [0, 0],
    ],
    bad: ["20", 20, "s", "-1s", "1 s", "1y", "", "0.5ms", "99999999999999d", null, true],
  },
  {
    name: "byteSize",
    type: byteSize(),
    good: [
      ["512", 512],
      [512, 512],
      ["64MiB", 67_108_864],
      ["64 MiB", 67_108_864],
      ["1GB", 1e9],
      ["1.5KiB", 1536],
      ["2kb", 2000],
    ],
    bad: ["64M", "-1", "0.3B", "MiB", "1e3", -1, 0.5, "10PiB"],
  },
  {
    name: "count",
    type: count(),
    good: [
      ["600", 600],
      [600, 600],
      ["2M", 2_000_000],
      ["10k", 10_000],
      ["1.1M", 1_100_000],
      ["1_000", 1000],
      [0, 0],
    ],
    bad: ["2X", "1.5", 1.5, -1, "many", "99999999G"],
  },
  {
    name: "percent",
    type: percent(),
    good: [
      ["80%", 0.8],
      ["5%", 0.05],
      ["0%", 0],
      ["100%", 1],
      ["12.5%", 0.125],
    ],
    bad: ["80", 80, 0.8, "101%", "-1%", "%"],
  },
  {
    name: "money",
    type: money(),
    good: [
      ["$500", 500_000_000_000n],
      ["$0.10", 100_000_000n],
      ["$0.000000001", 1n],
      ["$1,000.50", 1_000_500_000_000n],
      ["$0", 0n],
      ["$0.1000000000000", 100_000_000n],
      ["$9223372036.854775807", 9_223_372_036_854_775_807n],
    ],
    bad: ["500", 500, "$", "$-1", "$.5", "$1.0000000001", "$1,00", "$9223372036.854775808", "$1e3", "€5"],
  },
  {
    name: "tokenPrice",
    type: tokenPrice(),
    good: [
      ["$0.10/M", 100_000_000n],
      ["$15/M", 15_000_000_000n],
      ["$0.0001/K", 100_000_000n],
      ["$0/M", 0n],
    ],
    bad: ["$0.10", "0.10/M", "$0.10/token", 0.1, "$/M"],
  },
  {
    name: "flag",
    type: flag(),
    good: [
      [true, true],
      ["true", true],
      ["false", false],
    ],
    bad: ["yes", 1, ""],
  },
];

for (const { name, type, good, bad } of cases) {
  describe(name, () => {
    for (const [input, output] of good) {
      it(`reads ${inspect(input)}`, () => assert.deepEqual(type.parse(input), output));
    }
    for (const input of bad) {
      it(`refuses ${inspect(input)}, and says what it expects`, () => {
        const result = type.safeParse(input);
        assert.equal(result.success, false);
        assert.match(result.error?.issues[0]?.message ?? "", /^expected .+/);
      });
    }
  });
}

describe("money", () => {
  it("is exact for every amount that fits", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (nanos) => {
        const text = `$${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, "0")}`;
        assert.equal(money().parse(text), nanos);
      }),
    );
  });
});

describe("secret", () => {
  it("never shows itself, and reveals its value when asked", () => {
    const value = secret().parse("sk-canary");
    assert.ok(value instanceof Secret);
    const shown = [String(value), JSON.stringify({ value }), inspect(value, { depth: 9 }), `${inspect([{ value }])}`];
    assert.deepEqual(
      shown.filter((text) => text.includes("canary")),
      [],
    );
    assert.equal(value.reveal(), "sk-canary");
  });

  it("refuses an empty text, which an unset variable gives", () => {
    assert.equal(secret().safeParse("").success, false);
  });
});
