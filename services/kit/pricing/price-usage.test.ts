import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import { findCataloguePrices, freePrices, pricesOfOverride } from "./find-prices.ts";
import { pricesOfOperation } from "./operation-prices.ts";
import { affordableOutputTokens, boundCost, ceilingOf, priceUsage } from "./price-usage.ts";

const usage = (
  tokens: Partial<
    Record<
      "uncachedInputTokens" | "cacheReadTokens" | "cacheWriteTokens" | "outputTokens" | "cacheWrite1hTokens",
      bigint
    >
  >,
) => create(UsageSchema, tokens);
const prices = pricesOfOverride({ input: 150_000_000n, output: 600_000_000n });

test("prices each class once, exactly, rounding up only at the end", () => {
  assert.equal(priceUsage(prices, usage({ uncachedInputTokens: 1_000_000n, outputTokens: 1_000_000n })), 750_000_000n);
  assert.equal(priceUsage(prices, usage({ uncachedInputTokens: 1n })), 150n);
  const fine = pricesOfOverride({ input: 37_500_000n, output: 0n });
  assert.equal(priceUsage(fine, usage({ uncachedInputTokens: 1n })), 38n);
  assert.equal(priceUsage(fine, usage({ uncachedInputTokens: 2n })), 75n);
});

test("adds the price of a request whatever its tokens", () => {
  const perRequest = pricesOfOverride({ input: 0n, output: 0n, request: 10_000_000n });
  assert.equal(priceUsage(perRequest, usage({})), 10_000_000n);
  assert.equal(boundCost(perRequest, 10n, 10n), 10_000_000n);
});

test("prices classes that the catalogue tells apart", () => {
  const claude = findCataloguePrices("anthropic", "claude-sonnet-4-5");
  assert.ok(claude);
  assert.equal(priceUsage(claude, usage({ cacheReadTokens: 1_000n })), 300_000n);
  assert.equal(priceUsage(claude, usage({ cacheWriteTokens: 1_000n })), 3_750_000n);
  assert.equal(priceUsage(claude, usage({ cacheWriteTokens: 1_000n, cacheWrite1hTokens: 1_000n })), 6_000_000n);
});

test("prices the images among the tokens of a model that draws", () => {
  const prices = findCataloguePrices("openai", "gpt-image-1.5");
  assert.ok(prices);
  const drawn = create(UsageSchema, { uncachedInputTokens: 1_000n, imageInputTokens: 400n, outputTokens: 2_000n });
  assert.equal(priceUsage(prices, drawn), 600n * 5_000n + 400n * 8_000n + 2_000n * 10_000n);
  assert.equal(
    priceUsage(prices, create(UsageSchema, { outputTokens: 2_000n, imageOutputTokens: 1_500n })),
    500n * 10_000n + 1_500n * 32_000n,
  );
  assert.ok(boundCost(ceilingOf([prices]) ?? freePrices, 0n, 1n) >= 32_000n);
});

test("counts tokens for nothing, and classifies for nothing unless that has a price", () => {
  assert.equal(pricesOfOperation(Operation.COUNT_TOKENS, prices), freePrices);
  assert.equal(pricesOfOperation(Operation.MODERATE, undefined), freePrices);
  assert.equal(pricesOfOperation(Operation.MODERATE, prices), prices);
  assert.equal(pricesOfOperation(Operation.SPEAK, undefined), undefined);
});

test("moves a whole request to the long-context prices above their threshold", () => {
  const gemini = findCataloguePrices("gemini", "gemini-2.5-pro");
  assert.ok(gemini);
  assert.equal(priceUsage(gemini, usage({ uncachedInputTokens: 200_000n })), 250_000_000n);
  assert.equal(priceUsage(gemini, usage({ uncachedInputTokens: 200_001n })), 500_002_500n);
});

test("knows no price of what the catalogue does not have, and that free is a price", () => {
  assert.equal(findCataloguePrices("openai", "no-such-model"), undefined);
  assert.equal(findCataloguePrices("openai-compatible", "gpt-4o"), undefined);
  assert.equal(priceUsage(freePrices, usage({ outputTokens: 5n })), 0n);
});

test("a ceiling is at least the price at every target below it", () => {
  const amount = fc.bigInt({ min: 0n, max: 10_000_000_000n });
  const tokens = fc.bigInt({ min: 0n, max: 1_000_000n });
  fc.assert(
    fc.property(
      fc.array(fc.record({ input: amount, output: amount, cache_write: amount }), { minLength: 1 }),
      tokens,
      tokens,
      (overrides, input, output) => {
        const targets = overrides.map(pricesOfOverride);
        const ceiling = ceilingOf(targets);
        assert.ok(ceiling);
        for (const target of targets) {
          assert.ok(
            boundCost(ceiling, input, output) >=
              priceUsage(target, usage({ uncachedInputTokens: input, outputTokens: output })),
          );
          assert.ok(
            boundCost(ceiling, input, output) >=
              priceUsage(target, usage({ cacheWriteTokens: input, outputTokens: output })),
          );
        }
      },
    ),
  );
  assert.equal(ceilingOf([]), undefined);
});

test("the output that a hold affords never costs more than the hold", () => {
  const amount = fc.bigInt({ min: 1n, max: 10_000_000_000n });
  fc.assert(
    fc.property(
      amount,
      amount,
      fc.bigInt({ min: 0n, max: 10_000n }),
      fc.bigInt({ min: 0n, max: 10n ** 12n }),
      (input, output, inputTokens, held) => {
        const target = pricesOfOverride({ input, output });
        const tokens = affordableOutputTokens(target, held, inputTokens);
        assert.ok(tokens === 0n || boundCost(target, inputTokens, tokens) <= held);
      },
    ),
  );
});
