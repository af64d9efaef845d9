import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { inBothModes } from "../harness/both-modes.ts";
import { post } from "../harness/call-gateway.ts";
import { json, stream } from "../harness/provider-answers.ts";

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const answer = {
  id: "cmpl-fake",
  object: "text_completion",
  created: 1_700_000_000,
  model: "text-1",
  choices: [{ text: " there was", index: 0, logprobs: null, finish_reason: "length" }],
  usage,
};
const chunk = (text: string, finish: string | null) => ({
  ...answer,
  choices: [{ text, index: 0, logprobs: null, finish_reason: finish }],
  usage: null,
});

inBothModes(
  "OpenAI's older completions",
  ({ url }) => `
providers:
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
models:
  text: { route: [{ target: openai/text-1 }] }
  sonnet: { route: [{ target: claude/sonnet-1 }] }
  either: { route: [{ target: claude/sonnet-1 }], fallback: [text] }
prices:
  overrides:
    openai/text-1: { input: $1/M, output: $2/M }
    claude/sonnet-1: { input: $1/M, output: $2/M }
`,
  (context) => {
    const client = () =>
      new OpenAI({ apiKey: context.gateway.virtualKey, baseURL: `${context.gateway.url}/v1`, maxRetries: 0 });
    const target = () => ({ url: context.gateway.url, key: context.gateway.virtualKey });

    test("pass through to OpenAI's family, whatever they hold, and are paid for", async () => {
      context.provider.script("text-1", json(answer));
      const body = { model: "text", prompt: ["Once", "Twice"], suffix: ".", logprobs: 1, best_of: 2, unheard_of: 1 };
      const reply = await post(target(), "/v1/completions", body);
      assert.equal(reply.text, JSON.stringify(answer));
      const sent = context.provider.requestsOf("text-1").at(-1);
      assert.equal(sent?.path, "/v1/completions");
      assert.equal(sent.body.toString(), JSON.stringify({ ...body, model: "text-1" }));
      const [row] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(row?.costNanosUsd, 7_000n);
    });

    test("stream to the official client, whose usage was not asked for", async () => {
      const done = { ...answer, choices: [], usage };
      context.provider.script("text-1", stream([chunk(" there", null), chunk(" was", "length"), done, "[DONE]"]));
      const chunks = [];
      for await (const part of await client().completions.create({ model: "text", prompt: "Once", stream: true })) {
        chunks.push(part);
      }
      assert.equal(chunks.map((part) => part.choices[0]?.text).join(""), " there was");
      assert.equal(chunks.length, 2);
      assert.deepEqual(context.provider.requestsOf("text-1").at(-1)?.json["stream_options"], { include_usage: true });
    });

    test("are answered by providers that only chat, whole and streamed", async () => {
      const whole = await client().completions.create({ model: "sonnet", prompt: "Once", max_tokens: 20 });
      assert.equal(whole.object, "text_completion");
      assert.equal(whole.choices[0]?.text, "Hello!");
      assert.equal(whole.choices[0]?.finish_reason, "stop");
      assert.equal(whole.usage?.total_tokens, 15);
      let text = "";
      const request = { model: "sonnet", prompt: "Once", max_tokens: 20, stream: true } as const;
      for await (const part of await client().completions.create(request)) {
        text += part.choices[0]?.text ?? "";
      }
      assert.equal(text, "Hello!");
    });

    test("that only a model which continues texts can do go to one, or are refused", async () => {
      const body = { model: "sonnet", prompt: "Once", suffix: "end" };
      const refused = await post(target(), "/v1/completions", body);
      assert.equal(refused.status, 400);
      assert.match(refused.text, /"param":"suffix"/);
      context.provider.script("text-1", json(answer));
      const reply = await post(target(), "/v1/completions", { ...body, model: "either" });
      assert.equal(reply.text, JSON.stringify(answer));
    });

    test("hold what all their texts may cost", async () => {
      // 4 texts of 1,000 tokens at $2 a million are $0.008.
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 7_900_000n });
      const body = { model: "text", prompt: ["a", "b"], best_of: 2, max_tokens: 1_000 };
      const refused = await post({ url: context.gateway.url, key: secret }, "/v1/completions", body);
      assert.equal(refused.status, 429);
      context.provider.script("text-1", json(answer));
      const reply = await post({ url: context.gateway.url, key: secret }, "/completions", { ...body, best_of: 1 });
      assert.equal(reply.status, 200);
    });
  },
);
