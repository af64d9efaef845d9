import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";

const million = 1_000_000n;

/**
 * What usage costs in nano-US-dollars: exact integers, rounded up once at the end, so that no sum of parts exceeds a
 * hold that was rounded in the same way.
 */
export function priceUsage(prices: TokenPrices, usage: Usage): bigint {
  const inputTokens = usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  const long = prices.longContext;
  const applied = long !== undefined && inputTokens >= prices.longContextThresholdTokens ? long : prices;
  const imageInput = usage.imageInputTokens ?? 0n;
  const imageOutput = usage.imageOutputTokens ?? 0n;
  const sum =
    (usage.uncachedInputTokens - usage.audioInputTokens - imageInput) * applied.inputNanosUsdPerMillion +
    imageInput * applied.imageInputNanosUsdPerMillion +
    usage.audioInputTokens * applied.audioInputNanosUsdPerMillion +
    usage.cacheReadTokens * applied.cacheReadNanosUsdPerMillion +
    (usage.cacheWriteTokens - usage.cacheWrite1hTokens) * applied.cacheWriteNanosUsdPerMillion +
    usage.cacheWrite1hTokens * applied.cacheWrite1hNanosUsdPerMillion +
    (usage.outputTokens - usage.audioOutputTokens - imageOutput) * applied.outputNanosUsdPerMillion +
    imageOutput * applied.imageOutputNanosUsdPerMillion +
    usage.audioOutputTokens * applied.audioOutputNanosUsdPerMillion;
  return ceilDivide(sum, million) + prices.requestNanosUsd;
}

/** The most that a request of these bounds can cost at any target below a ceiling, in nano-US-dollars. */
export function boundCost(ceiling: TokenPrices, inputTokens: bigint, outputTokens: bigint): bigint {
  return (
    ceilDivide(inputTokens * highestInput(ceiling) + outputTokens * highestOutput(ceiling), million) +
    ceiling.requestNanosUsd
  );
}

/** How many output tokens a hold covers beside an input, so that `boundCost` of both is at most the hold. */
export function affordableOutputTokens(ceiling: TokenPrices, heldNanos: bigint, inputTokens: bigint): bigint {
  const price = highestOutput(ceiling);
  const left = (heldNanos - ceiling.requestNanosUsd) * million - inputTokens * highestInput(ceiling);
  return price === 0n ? 0n : left <= 0n ? 0n : left / price;
}

/** The highest price of each class among targets. Undefined when there is no target. */
export function ceilingOf(targets: readonly TokenPrices[]): TokenPrices | undefined {
  const [first, ...others] = targets.flatMap((prices) =>
    prices.longContext === undefined ? [prices] : [prices, prices.longContext],
  );
  if (first === undefined) {
    return undefined;
  }
  const ceiling = { ...first, source: "ceiling", longContextThresholdTokens: 0n };
  delete ceiling.longContext;
  for (const other of others) {
    ceiling.inputNanosUsdPerMillion = max(ceiling.inputNanosUsdPerMillion, other.inputNanosUsdPerMillion);
    ceiling.outputNanosUsdPerMillion = max(ceiling.outputNanosUsdPerMillion, other.outputNanosUsdPerMillion);
    ceiling.cacheReadNanosUsdPerMillion = max(ceiling.cacheReadNanosUsdPerMillion, other.cacheReadNanosUsdPerMillion);
    ceiling.cacheWriteNanosUsdPerMillion = max(
      ceiling.cacheWriteNanosUsdPerMillion,
      other.cacheWriteNanosUsdPerMillion,
    );
    ceiling.cacheWrite1hNanosUsdPerMillion = max(
      ceiling.cacheWrite1hNanosUsdPerMillion,
      other.cacheWrite1hNanosUsdPerMillion,
    );
    ceiling.audioInputNanosUsdPerMillion = max(
      ceiling.audioInputNanosUsdPerMillion,
      other.audioInputNanosUsdPerMillion,
    );
    ceiling.audioOutputNanosUsdPerMillion = max(
      ceiling.audioOutputNanosUsdPerMillion,
      other.audioOutputNanosUsdPerMillion,
    );
    ceiling.imageInputNanosUsdPerMillion = max(
      ceiling.imageInputNanosUsdPerMillion,
      other.imageInputNanosUsdPerMillion,
    );
    ceiling.imageOutputNanosUsdPerMillion = max(
      ceiling.imageOutputNanosUsdPerMillion,
      other.imageOutputNanosUsdPerMillion,
    );
    ceiling.requestNanosUsd = max(ceiling.requestNanosUsd, other.requestNanosUsd);
  }
  return ceiling;
}

function highestInput(prices: TokenPrices): bigint {
  return max(
    max(prices.inputNanosUsdPerMillion, max(prices.audioInputNanosUsdPerMillion, prices.imageInputNanosUsdPerMillion)),
    max(
      prices.cacheReadNanosUsdPerMillion,
      max(prices.cacheWriteNanosUsdPerMillion, prices.cacheWrite1hNanosUsdPerMillion),
    ),
  );
}

function highestOutput(prices: TokenPrices): bigint {
  return max(
    prices.outputNanosUsdPerMillion,
    max(prices.audioOutputNanosUsdPerMillion, prices.imageOutputNanosUsdPerMillion),
  );
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
