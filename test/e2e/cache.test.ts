import assert from "node:assert/strict";
import { test } from "node:test";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { type CallTarget, chat, type GatewayReply, post } from "../harness/call-gateway.ts";
import { cutAfter, errorAnswer, goodAnswer, openAiStream } from "../harness/provider-answers.ts";
import { waitUntil } from "../harness/wait-until.ts";

inBothModes(
  "cache",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  fast: { route: [{ target: fake/fast }], retry: { attempts: 1 } }
  vectors: { route: [{ target: fake/vectors }] }
cache: { exact: { ttl: 10m } }
prices: { overrides: { fake/fast: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    const target = (): CallTarget => ({ url: context.gateway.url, key: context.gateway.virtualKey });

    /**
     * Asks until the answer comes from the cache, without a request to the provider. Answers are kept behind the back of
     * those who got them first, and on a busy machine a look into the cache may take too long, which is a miss.
     */
    async function untilHit(ask: () => Promise<GatewayReply>): Promise<GatewayReply> {
      return await waitUntil(
        async () => {
          const before = context.provider.requests.length;
          const reply = await ask();
          if (reply.headers.get("x-penstock-cache") !== "hit") {
            return false;
          }
          assert.equal(context.provider.requests.length, before, "nothing was sent to the provider");
          return reply;
        },
        () => "an answer from the cache",
      );
    }

    for (const stream of [false, true]) {
      test(`the same request of the same tenant is answered from the cache (stream: ${stream})`, async () => {
        const { gateway } = context;
        const ask = (): Promise<GatewayReply> => chat(target(), "fast", { stream, seed: stream ? 1 : 2 });
        const first = await ask();
        assert.equal(first.headers.get("x-penstock-cache"), "miss");
        const hit = await untilHit(ask);
        assert.equal(hit.text, first.text);
        assert.equal(hit.headers.get("content-type"), first.headers.get("content-type"));
        assert.equal(hit.headers.get("x-penstock-attempts"), "0");
        assert.equal(hit.headers.get("x-penstock-provider"), "fake");
        const [row] = await gateway.waitForRequest(hit.requestId);
        assert.deepEqual([row?.outcome, row?.costNanosUsd, row?.final], [Outcome.CACHE_HIT, 0n, true]);
      });
    }

    test("another tenant does not get it", async () => {
      const { gateway } = context;
      const ask = (key: string) => chat({ url: gateway.url, key }, "fast", { seed: 3 });
      await ask(gateway.virtualKey);
      await untilHit(() => ask(gateway.virtualKey));
      const { secret } = await gateway.createKey();
      assert.equal((await ask(secret)).headers.get("x-penstock-cache"), "miss");
    });

    test("whatever differs in the body is another request, the order of its members does not", async () => {
      const ask = (more: object) => chat(target(), "fast", more);
      await ask({ seed: 4, x_unknown: 1 });
      await untilHit(() => ask({ seed: 4, x_unknown: 1 }));
      assert.equal((await ask({ seed: 4, x_unknown: 2 })).headers.get("x-penstock-cache"), "miss");
      assert.equal((await ask({ seed: 4 })).headers.get("x-penstock-cache"), "miss");
      await untilHit(() => chat(target(), "fast", { x_unknown: 1, seed: 4 }, { "x-penstock-cache": "only-if-cached" }));
    });

    test("embeddings are cached too", async () => {
      const ask = () => post(target(), "/v1/embeddings", { model: "vectors", input: "the same" });
      const first = await ask();
      assert.equal((await untilHit(ask)).text, first.text);
    });

    test("an answer that was cut, or that failed, is never kept", async () => {
      const { provider, gateway } = context;
      provider.script("fast", cutAfter(openAiStream({ pieces: ["half ", "of ", "it"] }), 500));
      const ask = () => chat(target(), "fast", { stream: true, seed: 5 });
      const cut = await ask();
      assert.ok(!cut.text.includes("[DONE]"), cut.text);
      await gateway.waitForRequest(cut.requestId);
      provider.script("fast", errorAnswer(500));
      assert.equal((await ask()).status, 502);
      provider.script("fast", (request) => goodAnswer(request, { text: "All of it." }));
      const whole = await ask();
      assert.equal(whole.headers.get("x-penstock-cache"), "miss");
      assert.equal(whole.content, "All of it.");
      assert.equal((await untilHit(ask)).content, "All of it.");
    });

    test("a caller can leave the cache out, insist on it, or have its entry replaced", async () => {
      const { provider } = context;
      const ask = (policy?: string) =>
        chat(target(), "fast", { seed: 6 }, policy === undefined ? {} : { "x-penstock-cache": policy });
      const nothing = await ask("only-if-cached");
      assert.equal(nothing.status, 404);
      assert.equal(nothing.headers.get("x-should-retry"), "false");
      assert.equal((await ask("no-store")).headers.get("x-penstock-cache"), "bypass");
      assert.equal((await ask("only-if-cached")).status, 404, "no-store keeps nothing");
      await ask();
      await untilHit(() => ask("only-if-cached"));
      provider.script("fast", (request) => goodAnswer(request, { text: "Newer." }));
      assert.equal((await ask("no-cache")).content, "Newer.");
      await waitUntil(
        async () => (await ask()).content === "Newer.",
        () => "the newer answer to replace the older one",
      );
      assert.equal((await ask("sometimes")).status, 400);
    });

    test("a hit costs nothing", async () => {
      const { gateway } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000n });
      const ask = () => chat({ url: gateway.url, key: secret }, "fast", { seed: 7, max_tokens: 100 });
      assert.equal((await ask()).status, 200);
      await untilHit(ask);
      await waitUntil(
        async () => (await gateway.getKey(key.id)).heldNanosUsd === 0n,
        () => "the misses to be settled",
      );
      const { spentNanosUsd } = await gateway.getKey(key.id);
      const { requestId } = await untilHit(() =>
        chat(
          { url: gateway.url, key: secret },
          "fast",
          { seed: 7, max_tokens: 100 },
          { "x-penstock-cache": "only-if-cached" },
        ),
      );
      const [row] = await gateway.waitForRequest(requestId);
      assert.equal(row?.costNanosUsd, 0n);
      assert.equal((await gateway.getKey(key.id)).spentNanosUsd, spentNanosUsd);
    });
  },
);
