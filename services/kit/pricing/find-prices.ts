import { calcPrice } from "@pydantic/genai-prices";
import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { TokenPricesSchema } from "#gen/penstock/router/v1/router_service_pb.ts";
import { create } from "@bufbuild/protobuf";

/** What an operator sets for one target, in nano-US-dollars for a million tokens, or for a request. */
export interface PriceOverride {
  readonly input: bigint;
  readonly output: bigint;
  /** Absent: as input. */
  readonly cache_read?: bigint | undefined;
  /** Absent: as input. */
  readonly cache_write?: bigint | undefined;
  /** For one request, whatever its tokens. Absent: 0. */
  readonly request?: bigint | undefined;
}

/** The catalogue's version, which every priced attempt names. */
const catalogueSource = "genai-prices@0.1.8";

/** The catalogue's name of each kind of provider; kinds without one have no list prices. */
const catalogueProviders: Readonly<Record<string, string>> = {
  openai: "openai",
  "azure-openai": "azure",
  anthropic: "anthropic",
  gemini: "google",
  vertex: "google",
  bedrock: "aws",
  cohere: "cohere",
  mistral: "mistral",
  groq: "groq",
  deepseek: "deepseek",
  xai: "x-ai",
  openrouter: "openrouter",
  perplexity: "perplexity",
  together: "together",
  fireworks: "fireworks",
  cerebras: "cerebras",
  voyage: "voyageai",
};

/** Finds the list prices of a model at a kind of provider; undefined when the catalogue has none. */
export function findCataloguePrices(kind: string, model: string): TokenPrices | undefined {
  const providerId = catalogueProviders[kind];
  if (providerId === undefined) {
    return undefined;
  }
  const found = calcPrice({ input_tokens: 1 }, model, { providerId })?.model_price;
  if (found === undefined) {
    return undefined;
  }
  if (Object.keys(found).length === 0) {
    // How the catalogue writes that a model is free.
    return { ...freePrices, source: catalogueSource };
  }
  const prices = Object.entries(found).filter(([name]) => name.endsWith("_mtok"));
  const base = pricesOf(prices, 0);
  // A tier of the catalogue holds above its start.
  const threshold =
    1 +
    Math.min(
      ...prices.flatMap(([, price]) => (typeof price === "object" ? price.tiers : [])).map((tier) => tier.start),
    );
  return base === undefined || !Number.isFinite(threshold)
    ? base
    : { ...base, longContextThresholdTokens: BigInt(threshold), longContext: pricesOf(prices, threshold) };
}

/** The prices that an operator set. */
export function pricesOfOverride(override: PriceOverride): TokenPrices {
  return tokenPrices("override", {
    input: override.input,
    output: override.output,
    cacheRead: override.cache_read,
    cacheWrite: override.cache_write,
    request: override.request,
  });
}

/** The prices of a target that costs nothing. */
export const freePrices: TokenPrices = tokenPrices("free", { input: 0n, output: 0n });

type CataloguePrice = number | { base: number; tiers: { price: number; start: number }[] } | undefined;

function pricesOf(found: readonly (readonly [string, CataloguePrice])[], inputTokens: number): TokenPrices | undefined {
  const prices = new Map(found.map(([name, price]) => [name, nanosAt(price, inputTokens)]));
  const input = prices.get("input_mtok");
  if (input === undefined) {
    return undefined;
  }
  return tokenPrices(catalogueSource, {
    input,
    // Embedding models have no output, and the catalogue no price for it.
    output: prices.get("output_mtok") ?? 0n,
    cacheRead: prices.get("cache_read_mtok"),
    cacheWrite: prices.get("cache_write_mtok"),
    cacheWrite1h: prices.get("cache_write_1h_mtok"),
    audioInput: prices.get("input_audio_mtok"),
    audioOutput: prices.get("output_audio_mtok"),
    imageInput: prices.get("input_image_mtok"),
    imageOutput: prices.get("output_image_mtok"),
  });
}

function nanosAt(price: CataloguePrice, inputTokens: number): bigint | undefined {
  if (price === undefined || typeof price === "number") {
    return price === undefined ? undefined : nanosOfDollars(price);
  }
  const tier = price.tiers.findLast((candidate) => candidate.start < inputTokens);
  return nanosOfDollars(tier?.price ?? price.base);
}

/** The catalogue has decimal numbers of at most a few places; their shortest spelling is what was meant. */
function nanosOfDollars(dollars: number): bigint {
  return BigInt(Math.round(dollars * 1e9));
}

interface Classes {
  readonly input: bigint;
  readonly output: bigint;
  readonly cacheRead?: bigint | undefined;
  readonly cacheWrite?: bigint | undefined;
  readonly cacheWrite1h?: bigint | undefined;
  readonly audioInput?: bigint | undefined;
  readonly audioOutput?: bigint | undefined;
  readonly imageInput?: bigint | undefined;
  readonly imageOutput?: bigint | undefined;
  readonly request?: bigint | undefined;
}

function tokenPrices(source: string, classes: Classes): TokenPrices {
  const cacheWrite = classes.cacheWrite ?? classes.input;
  return create(TokenPricesSchema, {
    source,
    inputNanosUsdPerMillion: classes.input,
    outputNanosUsdPerMillion: classes.output,
    cacheReadNanosUsdPerMillion: classes.cacheRead ?? classes.input,
    cacheWriteNanosUsdPerMillion: cacheWrite,
    cacheWrite1hNanosUsdPerMillion: classes.cacheWrite1h ?? cacheWrite,
    audioInputNanosUsdPerMillion: classes.audioInput ?? classes.input,
    audioOutputNanosUsdPerMillion: classes.audioOutput ?? classes.output,
    imageInputNanosUsdPerMillion: classes.imageInput ?? classes.input,
    imageOutputNanosUsdPerMillion: classes.imageOutput ?? classes.output,
    requestNanosUsd: classes.request ?? 0n,
  });
}
