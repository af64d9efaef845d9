import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { calcPrice } from "@pydantic/genai-prices";
import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import type { JsonObject } from "#codec/codec.ts";
import { isJsonObject } from "#codec/json/json-fields.ts";
import { createGeminiCodec } from "#codec/gemini/gemini-codec.ts";
import { createOpenAiChatCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import { createOpenAiEmbedCodec } from "#codec/openai-chat/openai-embed-codec.ts";
import { createOpenAiResponsesCodec } from "#codec/openai-responses/openai-responses-codec.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { findCataloguePrices } from "#kit/pricing/find-prices.ts";
import { priceUsage } from "#kit/pricing/price-usage.ts";

/** A usage object that a provider sent, with what another program made of it. */
interface UsageCase {
  readonly provider: string;
  readonly api_flavor: string;
  readonly model: string;
  readonly native: JsonObject;
  /** Here the input includes what was read from and written to the cache. */
  readonly normalised: {
    readonly input_tokens?: number;
    readonly cache_read_tokens?: number;
    readonly cache_write_tokens?: number;
    readonly input_audio_tokens?: number;
    readonly output_tokens?: number;
    readonly output_reasoning_tokens?: number;
    readonly output_image_tokens?: number;
  };
}

const file = new URL("../../../shared/wire/pricing/usage_cases.json", import.meta.url);
const kinds = new Map([
  ["google", "gemini"],
  ["aws", "bedrock"],
]);
const chat = createOpenAiChatCodec({ extensions: true });
const embeddings = createOpenAiEmbedCodec();
const responses = createOpenAiResponsesCodec();
const anthropic = createAnthropicMessagesCodec();
const gemini = createGeminiCodec();

function readUsage({ provider, api_flavor, native }: UsageCase): Usage | undefined {
  const flavor = provider === "google" ? "google" : provider === "anthropic" ? "anthropic" : api_flavor;
  switch (flavor) {
    case "anthropic":
      return anthropic.readResponse({ type: "message", content: [], stop_reason: "end_turn", ...native }).usage;
    case "google":
      return gemini.readResponse({ candidates: [{ content: { parts: [] }, finishReason: "STOP" }], ...native }).usage;
    case "responses":
      return responses.readResponse({ object: "response", status: "completed", output: [], ...native }).usage;
    case "embeddings":
      return embeddings.readUsage(native);
    default:
      return chat.readResponse({
        choices: [{ message: { role: "assistant", content: "" }, finish_reason: "stop" }],
        ...native,
      }).usage;
  }
}

if (existsSync(file)) {
  // The file says what its format is; a wrong guess about it fails the tests.
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as { readonly cases: readonly UsageCase[] };
  describe("usage that providers reported", () => {
    for (const [index, usageCase] of cases.entries()) {
      const { provider, api_flavor, model, normalised } = usageCase;
      test(`${index}: ${provider} ${api_flavor} ${model} is read into classes and priced to the nano-dollar`, () => {
        const usage = readUsage(usageCase);
        assert.ok(usage !== undefined);
        const cacheRead = cacheReadOf(usageCase);
        assert.deepEqual(
          {
            input: Number(usage.uncachedInputTokens + usage.cacheReadTokens + usage.cacheWriteTokens),
            cacheRead: Number(usage.cacheReadTokens),
            output: Number(usage.outputTokens),
            image: Number(usage.imageOutputTokens ?? 0n),
            audio: Number(usage.audioInputTokens),
          },
          {
            input: normalised.input_tokens ?? 0,
            cacheRead,
            output: normalised.output_tokens ?? 0,
            image: normalised.output_image_tokens ?? 0,
            audio: normalised.input_audio_tokens ?? 0,
          },
        );
        const kind = kinds.get(provider) ?? provider;
        const prices = findCataloguePrices(kind, model);
        assert.ok(prices !== undefined, "the catalogue has a price");
        const wanted = calcPrice({ ...normalised, cache_read_tokens: cacheRead }, model, { providerId: provider });
        assert.ok(wanted);
        const dollars = wanted.input_price + wanted.output_price;
        assert.equal(priceUsage(prices, usage), BigInt(Math.ceil(Number((dollars * 1e9).toFixed(3)))));
      });
    }
  });
} else {
  test("usage that providers reported is priced to the nano-dollar", { skip: "recordings not found" }, () => undefined);
}

/** Mistral's own name of its cached tokens is one that the other program did not know. */
function cacheReadOf({ native, normalised }: UsageCase): number {
  const { usage } = native;
  const cached = isJsonObject(usage) ? usage["num_cached_tokens"] : 0;
  return normalised.cache_read_tokens ?? (typeof cached === "number" ? cached : 0);
}
