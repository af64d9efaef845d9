import assert from "node:assert/strict";
import { test } from "node:test";
import { inBothModes } from "../harness/both-modes.ts";
import { post } from "../harness/call-gateway.ts";
import { json } from "../harness/provider-answers.ts";

const results = [
  { index: 0, relevance_score: 0.75 },
  { index: 2, relevance_score: 0.5 },
];
const cohere = { id: "r-1", results, meta: { api_version: { version: "2" }, billed_units: { search_units: 1 } } };
const voyage = { object: "list", data: results, model: "v", usage: { total_tokens: 43 } };
const documents = ["Ruby is a language", "Paris is in France", "Rails is a framework"];

inBothModes(
  "ordering documents",
  ({ url }) => `
providers:
  cohere: { kind: cohere, base_url: "${url}", api_key: sk-fake-cohere }
  voyage: { kind: voyage, base_url: "${url}/v1", api_key: sk-fake-voyage }
  jina: { kind: jina, base_url: "${url}/v1", api_key: sk-fake-jina }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
models:
  cohere: { route: [{ target: cohere/c-1 }] }
  voyage: { route: [{ target: voyage/v-1 }] }
  jina: { route: [{ target: jina/j-1 }] }
  either: { route: [{ target: claude/sonnet-1 }], fallback: [voyage] }
  sonnet: { route: [{ target: claude/sonnet-1 }] }
prices:
  overrides:
    voyage/v-1: { input: $1/M, output: $0/M }
    cohere/c-1: { input: $0/M, output: $0/M, request: $0.002 }
    claude/sonnet-1: { input: $1/M, output: $0/M }
`,
  (context) => {
    const ask = (body: object, path = "/v1/rerank", key = context.gateway.virtualKey) =>
      post({ url: context.gateway.url, key }, path, body);
    const body = { model: "cohere", query: "ruby", documents, top_n: 2 };

    test("passes through where the provider's form is the caller's, at both paths", async () => {
      context.provider.script("c-1", json(cohere));
      context.provider.script("j-1", json({ model: "j", results, usage: { total_tokens: 9 } }));
      for (const path of ["/v1/rerank", "/v2/rerank", "/rerank"]) {
        const reply = await ask(body, path);
        assert.equal(reply.text, JSON.stringify(cohere), path);
        assert.equal(reply.headers.get("x-penstock-cost-usd"), "0.002000000");
        const sent = context.provider.requestsOf("c-1").at(-1);
        assert.equal(sent?.path, "/v2/rerank");
        assert.equal(sent.body.toString(), JSON.stringify({ ...body, model: "c-1" }));
      }
      const own = { ...body, model: "jina", return_documents: true, documents: documents.map((text) => ({ text })) };
      await ask(own);
      assert.deepEqual(context.provider.requestsOf("j-1").at(-1)?.json, { ...own, model: "j-1" });
    });

    test("is translated for Voyage, and paid for by its tokens", async () => {
      context.provider.script("v-1", json(voyage));
      const reply = await ask({ ...body, model: "voyage", return_documents: true });
      const expected = results.map((result) => ({ ...result, document: { text: documents[result.index] } }));
      assert.deepEqual(JSON.parse(reply.text), { model: "v-1", results: expected, usage: { total_tokens: 43 } });
      const sent = context.provider.requestsOf("v-1").at(-1);
      assert.equal(sent?.path, "/v1/rerank");
      assert.deepEqual(sent.json, { model: "v-1", query: "ruby", documents, top_k: 2 });
      const [row] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(row?.costNanosUsd, 43_000n);
    });

    test("answers Voyage's callers in their form, whoever orders", async () => {
      context.provider.script("v-1", json(voyage));
      const asked = { query: "ruby", documents, model: "voyage", top_k: 2, truncation: true };
      assert.equal((await ask(asked)).text, JSON.stringify(voyage));
      assert.deepEqual(context.provider.requestsOf("v-1").at(-1)?.json, { ...asked, model: "v-1" });
      context.provider.script("c-1", json(cohere));
      const other = JSON.parse((await ask({ ...asked, model: "cohere" })).text) as typeof voyage;
      assert.deepEqual(
        other.data.map(({ index }) => index),
        [0, 2],
      );
      assert.equal(context.provider.requestsOf("c-1").at(-1)?.json["top_n"], 2);
    });

    test("gives Cohere's callers the documents that Cohere does not repeat", async () => {
      context.provider.script("c-1", json(cohere));
      const reply = await ask({ ...body, documents: documents.map((text) => ({ text })), return_documents: true });
      assert.deepEqual(context.provider.requestsOf("c-1").at(-1)?.json["documents"], documents);
      assert.match(reply.text, /"document":\{"text":"Rails is a framework"\}/);
      assert.match(reply.text, /"search_units":1/);
    });

    test("goes on to a provider that can, or is refused", async () => {
      context.provider.script("v-1", json(voyage));
      assert.equal((await ask({ ...body, model: "either" })).status, 200);
      const refused = await ask({ ...body, model: "sonnet" });
      assert.equal(refused.status, 400);
      assert.match(refused.text, /^\{"message":"[^"]*cannot order documents/);
    });

    test("refuses what nobody could order, and what a budget does not cover", async () => {
      const cases: readonly (readonly [object, RegExp])[] = [
        [{ ...body, query: undefined }, /query/],
        [{ ...body, documents: [] }, /documents/],
        [{ ...body, documents: [1] }, /documents\[0\]/],
        [{ ...body, top_n: 0 }, /top_n/],
        [{ ...body, model: "voyage", documents: [{ image: "x" }] }, /documents\[0\]/],
      ];
      for (const [asked, message] of cases) {
        const refused = await ask(asked);
        assert.equal(refused.status, 400, JSON.stringify(asked));
        assert.match(refused.text, message);
      }
      // A query is read with each document: 1,000 bytes and 3 of them are at most 3,000 tokens more.
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 3_500_000n });
      const long = { ...body, model: "voyage", query: "x".repeat(1_000) };
      assert.equal((await ask(long, "/v1/rerank", secret)).status, 429);
    });
  },
);
