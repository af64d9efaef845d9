import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { type CallTarget, chat, type GatewayReply } from "../harness/call-gateway.ts";
import { cutAfter, errorAnswer, goodAnswer, openAiStream } from "../harness/provider-answers.ts";
import { waitUntil } from "../harness/wait-until.ts";

const cent = 10_000_000n;
const dollar = 100n * cent;

inBothModes(
  "limits",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  cent: { route: [{ target: fake/cent }] }
  tokens: { route: [{ target: fake/tokens }] }
  free: { route: [{ target: fake/free }] }
  unpriced: { route: [{ target: fake/unpriced }] }
  half-priced: { route: [{ target: fake/unpriced }], fallback: [cent] }
prices:
  overrides:
    fake/cent: { input: $0/M, output: $0/M, request: $0.01 }
    fake/tokens: { input: $1/M, output: $10/M }
    fake/free: { input: $0/M, output: $0/M }
`,
  (context) => {
    async function spent(
      keyId: string,
    ): Promise<{ readonly key: bigint; readonly ledger: bigint; readonly rows: number }> {
      await waitUntil(
        async () => (await context.gateway.getKey(keyId)).heldNanosUsd === 0n,
        () => "all holds to be settled",
      );
      const rows = (await context.gateway.ledger()).filter((row) => row.keyId === keyId);
      const key = await context.gateway.getKey(keyId);
      return {
        key: key.spentNanosUsd,
        ledger: rows.reduce((sum, row) => sum + row.costNanosUsd, 0n),
        rows: rows.length,
      };
    }

    test("500 requests of a cent at once on a key with a dollar: 100 pass, and exactly a dollar is spent", async () => {
      const { gateway, provider } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: dollar });
      const before = provider.requestsOf("cent").length;
      const replies = await Promise.all(
        Array.from({ length: 500 }, (_, index) =>
          chatUntilDecided({ url: gateway.url, key: secret }, "cent", { stream: index % 3 === 0 }),
        ),
      );
      const refused = replies.filter((reply) => reply.status !== 200);
      assert.deepEqual(countByStatus(replies), { "200": 100, "429": 400 });
      for (const reply of refused) {
        assertExhausted(reply);
      }
      assert.equal(provider.requestsOf("cent").length - before, 100, "what is refused does not reach the provider");
      await gateway.waitForLedger((rows) => rows.filter((row) => row.keyId === key.id).length >= 100);
      assert.deepEqual(await spent(key.id), { key: dollar, ledger: dollar, rows: 100 });
      assertExhausted(await chat({ url: gateway.url, key: secret }, "cent"));
    });

    test("a budget that is raised lets requests pass again", async () => {
      const { gateway } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: cent });
      const target = { url: gateway.url, key: secret };
      assert.equal((await chat(target, "cent")).status, 200);
      assertExhausted(await chat(target, "cent"));
      await gateway.admin.keys.updateKey({ key: { ...key, budgetNanosUsd: 2n * cent } });
      assert.equal((await chat(target, "cent")).status, 200);
      assertExhausted(await chat(target, "cent"));
    });

    test("a stream of a provider that does not keep to its output limit ends where its budget does", async () => {
      const { gateway, provider } = context;
      // $10 a million tokens: a hold of 10 tokens and the input; the budget has enough for about 600.
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: 6_000_000n });
      const target = { url: gateway.url, key: secret };
      const pieces = Array.from({ length: 2_000 }, (_, index) => `${index} `);
      provider.script("tokens", openAiStream({ pieces }), (request) => goodAnswer(request));
      const reply = await chat(target, "tokens", { stream: true, max_tokens: 10 });
      assert.equal(reply.status, 200);
      assert.match(reply.text, /insufficient_quota/);
      assert.doesNotMatch(reply.text, /\[DONE\]/);
      const words = reply.text.match(/"content"/g)?.length ?? 0;
      assert.ok(words > 100 && words < 1_500, `${words} words came`);
      const { ledger } = await spent(key.id);
      assert.ok(ledger <= 6_000_000n + 64n * 10_000n, `${ledger} nano-dollars were spent`);
      const { secret: rich } = await gateway.createKey({ budgetNanosUsd: dollar });
      provider.script("tokens", openAiStream({ pieces }), (request) => goodAnswer(request));
      const whole = await chat({ url: gateway.url, key: rich }, "tokens", { stream: true, max_tokens: 10 });
      assert.match(whole.text, /\[DONE\]/);
    });

    test("a request that fails costs nothing, and its hold is given back", async () => {
      const { gateway, provider } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: cent });
      provider.script("cent", errorAnswer(500), (request) => goodAnswer(request));
      const target = { url: gateway.url, key: secret };
      assert.equal((await chat(target, "cent")).status, 502);
      await waitUntil(
        async () => (await gateway.getKey(key.id)).heldNanosUsd === 0n,
        () => "the hold of the failed request to be released",
      );
      assert.equal((await chat(target, "cent")).status, 200);
    });

    test("a caller without an output limit gets one that its budget covers", async () => {
      const { gateway, provider } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: cent });
      const reply = await chat({ url: gateway.url, key: secret }, "tokens");
      assert.equal(reply.status, 200, reply.text);
      const imposed = provider.requestsOf("tokens").at(-1)?.json["max_tokens"];
      assert.ok(typeof imposed === "number" && imposed > 0 && imposed <= 1_000, `imposed: ${String(imposed)}`);
      const [row] = await gateway.waitForRequest(reply.requestId);
      assert.equal(row?.costNanosUsd, 60_000n);
      assert.deepEqual(await spent(key.id), { key: 60_000n, ledger: 60_000n, rows: 1 });
    });

    test("a request whose own output limit costs more than the budget holds is refused", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ budgetNanosUsd: cent });
      assertExhausted(await chat({ url: gateway.url, key: secret }, "tokens", { max_tokens: 2_000 }));
      assert.equal((await chat({ url: gateway.url, key: secret }, "tokens", { max_tokens: 500 })).status, 200);
    });

    test("a stream that is cut is paid for as far as it came", async () => {
      const { gateway, provider } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: dollar });
      provider.script("tokens", cutAfter(openAiStream({ pieces: Array.from({ length: 50 }, () => "word ") }), 2_000));
      const reply = await chat({ url: gateway.url, key: secret }, "tokens", { stream: true, max_tokens: 100 });
      assert.ok(!reply.text.includes("[DONE]"));
      const [row] = await gateway.waitForRequest(reply.requestId);
      assert.equal(row?.outcome, Outcome.TRUNCATED);
      assert.ok((row?.costNanosUsd ?? 0n) > 0n);
      assert.deepEqual(await spent(key.id), { key: row?.costNanosUsd, ledger: row?.costNanosUsd, rows: 1 });
      provider.script("tokens", (request) => goodAnswer(request));
    });

    test("a model without a price is refused to a key with a budget, and free to one without", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ budgetNanosUsd: dollar });
      const refused = await chat({ url: gateway.url, key: secret }, "unpriced");
      assert.equal(refused.status, 400);
      assert.equal(refused.json?.error?.code, "model_not_priced");
      assert.equal((await chat({ url: gateway.url, key: gateway.virtualKey }, "unpriced")).status, 200);
    });

    test("a price of nothing is a price, even on a budget of nothing", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ budgetNanosUsd: 0n });
      assert.equal((await chat({ url: gateway.url, key: secret }, "free")).status, 200);
      assertExhausted(await chat({ url: gateway.url, key: secret }, "cent"));
    });

    test("a key with a budget is routed past targets without a price", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ budgetNanosUsd: dollar });
      const reply = await chat({ url: gateway.url, key: secret }, "half-priced");
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.headers.get("x-penstock-model"), "cent");
    });

    test("more requests a minute than a key may make are refused with the time to wait", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ requestsPerMinute: 5n });
      const replies: GatewayReply[] = [];
      for (let count = 0; count < 7; count += 1) {
        replies.push(await chat({ url: gateway.url, key: secret }, "free"));
      }
      assert.deepEqual(
        replies.map((reply) => reply.status),
        [200, 200, 200, 200, 200, 429, 429],
      );
      assert.equal(replies[0]?.headers.get("x-ratelimit-limit-requests"), "5");
      assert.equal(replies[0]?.headers.get("x-ratelimit-remaining-requests"), "4");
      const refused = replies.at(-1);
      assert.equal(refused?.json?.error?.code, "rate_limit_exceeded");
      assert.equal(refused?.headers.get("x-should-retry"), "true");
      const seconds = Number(refused?.headers.get("retry-after"));
      assert.ok(seconds >= 1 && seconds <= 61, `retry-after: ${seconds}`);
      assert.ok(Number(refused?.headers.get("retry-after-ms")) <= seconds * 1_000);
    });

    test("more tokens a minute than a key may use are refused", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ tokensPerMinute: 500n });
      const target = { url: gateway.url, key: secret };
      assert.equal((await chat(target, "free", { max_tokens: 300 })).status, 200);
      const refused = await chat(target, "free", { max_tokens: 5_000 });
      assert.equal(refused.status, 429);
      assert.equal(refused.json?.error?.code, "rate_limit_exceeded");
      assert.equal(refused.json?.error?.type, "tokens");
    });

    test("a key that is revoked is refused within five seconds", async () => {
      const { gateway } = context;
      const { secret, key } = await gateway.createKey();
      const target = { url: gateway.url, key: secret };
      assert.equal((await chat(target, "free")).status, 200);
      await gateway.admin.keys.revokeKey({ keyId: key.id });
      const refused = await waitUntil(
        async () => {
          const reply = await chat(target, "free");
          return reply.status === 200 ? undefined : reply;
        },
        () => "the key to end",
        5_000,
      );
      assert.equal(refused.status, 401);
      assert.equal(refused.json?.error?.code, "invalid_api_key");
    });

    test("a key that has expired is refused", async () => {
      const { gateway } = context;
      const { secret } = await gateway.createKey({ expireTime: { seconds: 1n, nanos: 0 } });
      assert.equal((await chat({ url: gateway.url, key: secret }, "free")).status, 401);
    });

    test("what is refused for a limit leaves no row of an attempt", async () => {
      const { gateway } = context;
      const rows = await gateway.ledger();
      assert.ok(rows.every((row) => row.errorReason !== ErrorReason.BUDGET_EXHAUSTED));
    });
  },
);

/** Tries again, as every SDK does, while the budget cannot be verified: a slow machine is no reason to fail. */
async function chatUntilDecided(target: CallTarget, model: string, more: object): Promise<GatewayReply> {
  return await waitUntil(
    async () => {
      const reply = await chat(target, model, more);
      return reply.json?.error?.code !== "quota_unavailable" && reply;
    },
    () => "a decision about the budget",
  );
}

function countByStatus(replies: readonly GatewayReply[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status } of replies) {
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

function assertExhausted(reply: GatewayReply): void {
  assert.equal(reply.status, 429, reply.text);
  assert.equal(reply.json?.error?.code, "insufficient_quota");
  assert.equal(reply.json?.error?.type, "insufficient_quota");
  assert.equal(reply.headers.get("x-should-retry"), "false");
}
