import assert from "node:assert/strict";
import { test } from "node:test";
import { inBothModes } from "../harness/both-modes.ts";
import { chat, get, parseReply, post } from "../harness/call-gateway.ts";
import { goodAnswer, trickle } from "../harness/provider-answers.ts";

inBothModes(
  "HTTP API",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: sk-fake-credential }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: sk-fake-gemini }
models:
  fast: { route: [{ target: fake/fast-1 }] }
  sonnet: { route: [{ target: claude/sonnet-1 }] }
  flash: { route: [{ target: gemini/flash-1 }] }
  vectors: { route: [{ target: fake/vectors-1 }] }
  gemini-vectors: { route: [{ target: gemini/vectors-2 }] }
prices: { overrides: { fake/fast-1: { input: $1/M, output: $2/M } } }
`,
  (context) => {
    const target = () => ({ url: context.gateway.url, key: context.gateway.virtualKey });

    test("an answer reaches the caller, and one row with its cost the ledger", async () => {
      const reply = await chat(target(), "fast");
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.content, "Hello!");
      const [row, ...others] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(others.length, 0);
      assert.equal(row?.costNanosUsd, 20_000n);
      assert.equal(row?.usage?.uncachedInputTokens, 10n);
      assert.equal(row?.usage?.outputTokens, 5n);
      assert.equal(row?.keyId, context.gateway.virtualKeyId);
      assert.equal(row?.requestedModel, "fast");
      assert.equal(row?.model, "fast-1");
      assert.equal(row?.stream, false);
    });

    test("the provider gets the body as it came, with its own model and the account's credential", async () => {
      const more = { temperature: 0.5, x_unheard_of: { deep: [1] } };
      await chat(target(), "fast", more);
      const request = context.provider.requestsOf("fast-1").at(-1);
      assert.deepEqual(request?.json, { model: "fast-1", messages: [{ role: "user", content: "Hi" }], ...more });
      assert.equal(request?.headers.authorization, "Bearer sk-fake-credential");
      assert.ok(!JSON.stringify(request?.headers).includes(context.gateway.virtualKey));
    });

    test("a stream comes in events that end with the final marker, without usage when none was asked for", async () => {
      const reply = await chat(target(), "fast", { stream: true });
      assert.equal(reply.status, 200, reply.text);
      assert.match(reply.headers.get("content-type") ?? "", /^text\/event-stream/);
      assert.equal(reply.content, "Hello!");
      assert.equal(reply.events.at(-1), "[DONE]");
      const chunks = reply.events.slice(0, -1).map(parseReply);
      assert.ok(chunks.every((chunk) => (chunk?.choices?.length ?? 0) > 0));
      assert.ok(chunks.every((chunk) => chunk?.usage === undefined || chunk.usage === null));
      const [row] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(row?.usage?.outputTokens, 5n);
      assert.equal(row?.stream, true);
    });

    test("a stream with include_usage has one chunk with usage, right before the final marker", async () => {
      const reply = await chat(target(), "fast", { stream: true, stream_options: { include_usage: true } });
      const chunks = reply.events.slice(0, -1).map(parseReply);
      assert.deepEqual(
        chunks.filter((chunk) => (chunk?.usage ?? undefined) !== undefined),
        [chunks.at(-1)],
      );
      assert.equal(chunks.at(-1)?.usage?.prompt_tokens, 10);
      assert.equal(chunks.at(-1)?.usage?.completion_tokens, 5);
    });

    for (const model of ["sonnet", "flash"]) {
      test(`the provider of ${model} speaks a dialect of its own, and the caller does not notice`, async () => {
        const whole = await chat(target(), model, { max_tokens: 100 });
        assert.equal(whole.status, 200, whole.text);
        assert.equal(whole.content, "Hello!");
        assert.equal(whole.json?.choices?.[0]?.finish_reason, "stop");
        assert.equal(whole.json?.usage?.completion_tokens, 5);
        const streamed = await chat(target(), model, { max_tokens: 100, stream: true });
        assert.equal(streamed.status, 200, streamed.text);
        assert.equal(streamed.content, "Hello!");
        assert.equal(streamed.events.at(-1), "[DONE]");
      });
    }

    for (const [header, prefix] of [
      ["authorization", "Bearer "],
      ["x-api-key", ""],
      ["api-key", ""],
      ["x-goog-api-key", ""],
    ] as const) {
      test(`a key is taken from ${header}`, async () => {
        const response = await fetch(`${context.gateway.url}/v1/models`, {
          headers: { [header]: prefix + context.gateway.virtualKey },
        });
        assert.equal(response.status, 200);
      });
    }

    test("a request without a key, with a wrong key or with an admin key is refused", async () => {
      const { url, adminKey } = context.gateway;
      const none = await fetch(`${url}/v1/models`);
      assert.equal(none.status, 401);
      assert.equal(none.headers.get("x-should-retry"), "false");
      const wrong = await chat({ url, key: "sk-pen-nobody-nothing" }, "fast");
      assert.equal(wrong.status, 401);
      assert.equal(wrong.json?.error?.code, "invalid_api_key");
      assert.equal((await chat({ url, key: adminKey }, "fast")).status, 403);
    });

    test("an answer says in its headers where it came from and what it cost", async () => {
      const { headers, requestId } = await chat(target(), "fast", {}, { "x-penstock-tags": "feature=search,env=test" });
      assert.match(requestId, /^req_[0-9a-f]{32}$/);
      assert.equal(headers.get("x-penstock-provider"), "fake");
      assert.equal(headers.get("x-penstock-model"), "fast-1");
      assert.equal(headers.get("x-penstock-attempts"), "1");
      assert.equal(headers.get("x-penstock-cache"), "bypass");
      assert.equal(headers.get("x-penstock-cost-usd"), "0.000020000");
      assert.match(headers.get("x-penstock-overhead-ms") ?? "", /^\d+\.\d{3}$/);
      const [row] = await context.gateway.waitForRequest(requestId);
      assert.deepEqual(row?.tags, { feature: "search", env: "test" });
    });

    test("a parameter that the provider cannot express is named in a header", async () => {
      const { headers, status } = await chat(target(), "sonnet", { max_tokens: 100, seed: 7 });
      assert.equal(status, 200);
      assert.equal(headers.get("x-penstock-dropped-params"), "seed");
    });

    test("the models are listed, and each can be looked up", async () => {
      const list = await get(target(), "/v1/models");
      assert.deepEqual(
        list.json?.data?.map((model) => model.id),
        ["fast", "flash", "gemini-vectors", "sonnet", "vectors"],
      );
      assert.equal((await get(target(), "/v1/models/fast")).json?.id, "fast");
      assert.equal((await get(target(), "/v1/models/fake%2Fother")).json?.id, "fake/other");
      assert.equal((await get(target(), "/v1/models/nothing")).status, 404);
    });

    test("provider/model addresses a target that no model names", async () => {
      const reply = await chat(target(), "fake/not-configured");
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.headers.get("x-penstock-model"), "not-configured");
    });

    test("an unknown model is 404, an unknown path 404, a wrong method 405", async () => {
      const unknown = await chat(target(), "nothing");
      assert.equal(unknown.status, 404);
      assert.equal(unknown.json?.error?.code, "model_not_found");
      assert.equal((await post(target(), "/v1/nothing", {})).status, 404);
      const wrongMethod = await get(target(), "/v1/chat/completions");
      assert.equal(wrongMethod.status, 405);
      assert.equal(wrongMethod.headers.get("allow"), "POST");
    });

    for (const model of ["vectors", "gemini-vectors"]) {
      test(`${model} gives embeddings as floats and as base64`, async () => {
        const floats = await post(target(), "/v1/embeddings", { model, input: ["a", "b"], encoding_format: "float" });
        assert.equal(floats.status, 200, floats.text);
        assert.deepEqual(
          floats.json?.data?.map((entry) => entry.embedding),
          [vector, vector],
        );
        const packed = await post(target(), "/v1/embeddings", { model, input: "a", encoding_format: "base64" });
        const embedding = packed.json?.data?.[0]?.embedding;
        assert.equal(typeof embedding, "string");
        const bytes = new Uint8Array(Buffer.from(String(embedding), "base64"));
        assert.deepEqual([...new Float32Array(bytes.buffer)], vector);
      });
    }

    test("a key with an allow-list sees and uses only what is on it", async () => {
      const { url, createKey } = context.gateway;
      const { secret: key } = await createKey({ allowedModels: ["vectors", "fa*"] });
      const list = await get({ url, key }, "/v1/models");
      assert.deepEqual(
        list.json?.data?.map((model) => model.id),
        ["fast", "vectors"],
      );
      assert.equal((await chat({ url, key }, "fast")).status, 200);
      const refused = await chat({ url, key }, "sonnet");
      assert.equal(refused.status, 403);
      assert.equal(refused.headers.get("x-should-retry"), "false");
      assert.equal((await get({ url, key }, "/v1/models/sonnet")).status, 403);
    });

    test("a stream that comes in pieces of five bytes arrives whole", async () => {
      const text = "Grüße an 東京 🎉";
      context.provider.script("trickling", (request) => trickle(goodAnswer(request, { text }), 5, 1));
      const reply = await chat(target(), "fake/trickling", { stream: true });
      assert.equal(reply.content, text);
      assert.equal(reply.events.at(-1), "[DONE]");
    });

    test("a long stream in many pieces arrives whole", async () => {
      const text = Array.from({ length: 2_000 }, (_, index) => `word${index} `).join("");
      context.provider.script("long", (request) => goodAnswer(request, { text }));
      const reply = await chat(target(), "fake/long", { stream: true });
      assert.equal(reply.content, text);
    });
  },
);

const vector = [0.25, -0.5, 0.125];
