import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { inBothModes } from "../harness/both-modes.ts";
import { post } from "../harness/call-gateway.ts";
import { cutAfter, goodAnswer, json } from "../harness/provider-answers.ts";

interface Counted {
  readonly input_tokens?: number;
  readonly totalTokens?: number;
}

const read = (text: string): Counted => JSON.parse(text) as Counted;

inBothModes(
  "counting, and the rest of Google's door",
  ({ url }) => `
providers:
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: sk-fake-gemini }
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
models:
  sonnet: { route: [{ target: claude/sonnet-1 }], retry: { attempts: 1 } }
  flash: { route: [{ target: gemini/flash-1 }], retry: { attempts: 1 } }
  gpt: { route: [{ target: openai/gpt-1 }] }
prices:
  overrides:
    claude/sonnet-1: { input: $1/M, output: $2/M, request: $1 }
`,
  (context) => {
    const target = (key = context.gateway.virtualKey) => ({ url: context.gateway.url, key });
    const messages = [{ role: "user" as const, content: "How many tokens may this be?" }];
    const contents = [{ role: "user", parts: [{ text: "How many tokens may this be?" }] }];
    const count = (model: string, more: object = {}) =>
      post(target(), "/v1/messages/count_tokens", { model, messages, ...more });

    test("a count of Anthropic's is Anthropic's own and costs nothing, with the official client", async () => {
      context.provider.script("sonnet-1", json({ input_tokens: 36 }));
      const client = new Anthropic({ apiKey: context.gateway.virtualKey, baseURL: context.gateway.url, maxRetries: 0 });
      const counted = await client.messages.countTokens({ model: "sonnet", messages, system: "Be brief." });
      assert.equal(counted.input_tokens, 36);
      const sent = context.provider.requestsOf("sonnet-1").at(-1);
      assert.equal(sent?.path, "/v1/messages/count_tokens");
      assert.deepEqual(sent.json, { model: "sonnet-1", messages, system: "Be brief." });
      const reply = await count("sonnet");
      assert.equal(reply.headers.get("x-penstock-cost-usd"), "0.000000000");
      assert.equal(reply.headers.get("x-penstock-estimated"), null);
      const [row] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(row?.costNanosUsd, 0n);
      assert.equal(row.usage?.uncachedInputTokens, 0n);
    });

    test("counts are translated between Anthropic and Google", async () => {
      context.provider.script("flash-1", json({ totalTokens: 9 }));
      assert.deepEqual(read((await count("flash", { max_tokens: 3 })).text), { input_tokens: 9 });
      const asked = context.provider.requestsOf("flash-1").at(-1);
      assert.equal(asked?.path, "/v1beta/models/flash-1:countTokens");
      assert.deepEqual(asked.json, { generateContentRequest: { model: "models/flash-1", contents } });
      context.provider.script("sonnet-1", json({ input_tokens: 11 }));
      const reply = await post(target(), "/v1beta/models/sonnet:countTokens", { contents });
      assert.deepEqual(read(reply.text), { totalTokens: 11 });
      const sent = context.provider.requestsOf("sonnet-1").at(-1)?.json;
      assert.equal(sent?.["max_tokens"], undefined);
      assert.equal(sent?.["model"], "sonnet-1");
    });

    test("a question that names its model again names the provider's", async () => {
      context.provider.script("flash-1", json({ totalTokens: 9 }));
      const question = { generateContentRequest: { model: "models/flash", contents } };
      assert.equal((await post(target(), "/v1beta/models/flash:countTokens", question)).status, 200);
      const sent = context.provider.requestsOf("flash-1").at(-1)?.json;
      assert.deepEqual(sent, { generateContentRequest: { model: "models/flash-1", contents } });
    });

    test("counts for providers that cannot count are estimated, and said to be", async () => {
      const asked = context.provider.requests.length;
      const reply = await count("gpt");
      const tokens = read(reply.text).input_tokens ?? 0;
      assert.ok(tokens >= 7 && tokens <= 20, `${tokens} tokens`);
      assert.equal(reply.headers.get("x-penstock-estimated"), "true");
      const google = read((await post(target(), "/v1beta/models/gpt:countTokens", { contents })).text);
      assert.equal(google.totalTokens, tokens);
      const long = await count("gpt", { messages: [{ role: "user", content: "a".repeat(3_000_000) }] });
      assert.ok((read(long.text).input_tokens ?? 0) > 100_000);
      assert.equal(context.provider.requests.length, asked);
    });

    test("counting needs no budget and is a request for the rate limit", async () => {
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 1n, requestsPerMinute: 2n });
      const ask = () => post(target(secret), "/v1/messages/count_tokens", { model: "gpt", messages });
      assert.deepEqual([(await ask()).status, (await ask()).status, (await ask()).status], [200, 200, 429]);
    });

    test("a count that is refused is refused in the dialect", async () => {
      const refused = await count("sonnet", { messages: [] });
      assert.equal(refused.status, 400);
      assert.match(refused.text, /"type":"invalid_request_error"/);
      const google = await post(target(), "/v1beta/models/flash:countTokens", {});
      assert.equal(google.status, 400);
      assert.match(google.text, /"status":"INVALID_ARGUMENT"/);
      const unknown = await post(target(), "/v1beta/models/flash:dance", {});
      assert.match(unknown.text, /countTokens/);
    });

    test("a stream of Google's without alt=sse is one array", async () => {
      const path = "/v1beta/models/flash:streamGenerateContent";
      context.provider.script("flash-1", goodAnswer);
      const events = await post(target(), `${path}?alt=sse`, { contents });
      const reply = await post(target(), path, { contents });
      assert.match(reply.headers.get("content-type") ?? "", /^application\/json/);
      const elements = JSON.parse(reply.text) as readonly unknown[];
      assert.deepEqual(
        elements,
        events.events.map((event) => JSON.parse(event) as unknown),
      );
      context.provider.script("gpt-1", (request) => cutAfter(goodAnswer(request, { text: "One two three" }), 500));
      const cut = await post(target(), "/v1beta/models/gpt:streamGenerateContent", { contents });
      const last = (JSON.parse(cut.text) as readonly { readonly error?: { readonly status: string } }[]).at(-1);
      assert.equal(last?.error?.status, "UNAVAILABLE");
    });

    test("one text is embedded by Google's form for one, by whoever embeds", async () => {
      context.provider.script("flash-1", json({ embedding: { values: [0.5] } }));
      const body = { content: { parts: [{ text: "Hi" }] }, taskType: "RETRIEVAL_QUERY" };
      const own = await post(target(), "/v1beta/models/flash:embedContent", { model: "models/flash", ...body });
      assert.deepEqual(JSON.parse(own.text), { embedding: { values: [0.5] } });
      const sent = context.provider.requestsOf("flash-1").at(-1);
      assert.equal(sent?.path, "/v1beta/models/flash-1:embedContent");
      assert.deepEqual(sent.json, { model: "models/flash-1", ...body });
      context.provider.script("gpt-1", goodAnswer);
      const other = await post(target(), "/v1beta/models/gpt:embedContent", body);
      assert.deepEqual((JSON.parse(other.text) as { embedding: unknown }).embedding, { values: [0.25, -0.5, 0.125] });
      const batch = { requests: [{ model: "models/flash", content: { parts: [{ text: "Hi" }] } }] };
      context.provider.script("flash-1", json({ embeddings: [{ values: [0.5] }] }));
      await post(target(), "/v1beta/models/flash:batchEmbedContents", batch);
      const renamed = context.provider.requestsOf("flash-1").at(-1)?.json;
      assert.deepEqual(renamed, { requests: [{ ...batch.requests[0], model: "models/flash-1" }] });
    });
  },
);
