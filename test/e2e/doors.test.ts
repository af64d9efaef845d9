import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { inBothModes } from "../harness/both-modes.ts";

inBothModes(
  "every door",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: sk-fake-credential }
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: sk-fake-gemini }
  echo: { kind: echo }
models:
  fast: { route: [{ target: fake/fast-1 }] }
  sonnet: { route: [{ target: claude/sonnet-1 }] }
  flash: { route: [{ target: gemini/flash-1 }] }
  echo: { route: [{ target: echo/echo }] }
`,
  (context) => {
    const send = (path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
      fetch(`${context.gateway.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": context.gateway.virtualKey, ...headers },
        body: JSON.stringify(body),
      });
    const models = ["fast", "sonnet", "flash", "echo"];

    for (const model of models) {
      test(`Anthropic's callers are answered by ${model}, whole and streamed`, async () => {
        const request = { model, max_tokens: 50, messages: [{ role: "user", content: "Hi" }] };
        const whole = JSON.parse(await (await send("/v1/messages", request)).text());
        assert.equal(whole.type, "message");
        assert.equal(whole.content[0].type, "text");
        assert.ok(whole.content[0].text.length > 0);
        assert.equal(whole.stop_reason, "end_turn");
        assert.ok(whole.usage.output_tokens > 0);
        const streamed = await (await send("/v1/messages", { ...request, stream: true })).text();
        assert.match(streamed, /^event: message_start\n/);
        assert.match(streamed, /event: message_stop\ndata: .*\n\n$/);
        const text = [...streamed.matchAll(/"text_delta","text":"([^"]*)"/g)].map((match) => match[1]).join("");
        assert.equal(text, whole.content[0].text);
      });

      test(`Google's callers are answered by ${model}, whole and streamed`, async () => {
        const request = { contents: [{ role: "user", parts: [{ text: "Hi" }] }] };
        const whole = JSON.parse(await (await send(`/v1beta/models/${model}:generateContent`, request)).text());
        const [candidate] = whole.candidates;
        assert.equal(candidate.finishReason, "STOP");
        assert.ok(candidate.content.parts[0].text.length > 0);
        assert.ok(whole.usageMetadata.candidatesTokenCount > 0);
        const path = `/v1beta/models/${model}:streamGenerateContent?alt=sse`;
        const events = [...(await (await send(path, request)).text()).matchAll(/^data: (.*)$/gm)].map((match) =>
          JSON.parse(match[1] ?? ""),
        );
        const text = events.flatMap((event) => event.candidates?.[0]?.content?.parts ?? []).map((part) => part.text);
        assert.equal(text.join(""), candidate.content.parts[0].text);
        assert.equal(events.at(-1)?.candidates[0].finishReason, "STOP");
      });

      test(`callers of the Responses API are answered by ${model}, whole and streamed`, async () => {
        const client = new OpenAI({
          apiKey: context.gateway.virtualKey,
          baseURL: `${context.gateway.url}/v1`,
          maxRetries: 0,
        });
        const whole = await client.responses.create({ model, input: "Hi" });
        assert.equal(whole.status, "completed");
        assert.ok(whole.output_text.length > 0);
        assert.ok((whole.usage?.output_tokens ?? 0) > 0);
        const streamed = await client.responses.stream({ model, input: "Hi" }).finalResponse();
        assert.equal(streamed.output_text, whole.output_text);
      });
    }

    test("the beta header of Anthropic's callers reaches Anthropic, and no other header does", async () => {
      const request = {
        model: "sonnet",
        max_tokens: 5,
        messages: [{ role: "user", content: "Hi" }],
        unheard_of: [1.5],
      };
      await send("/v1/messages", request, { "anthropic-beta": "some-beta-2026", "x-internal": "secret" });
      const seen = context.provider.requestsOf("sonnet-1").at(-1);
      assert.equal(seen?.headers["anthropic-beta"], "some-beta-2026");
      assert.equal(seen?.headers["x-internal"], undefined);
      assert.equal(seen?.headers["x-api-key"], "sk-fake-claude");
      assert.deepEqual(seen?.json, { ...request, model: "sonnet-1" });
    });

    test("models are listed in the form of the caller's dialect", async () => {
      const list = async (path: string, headers: Readonly<Record<string, string>>) =>
        JSON.parse(
          await (
            await fetch(`${context.gateway.url}${path}`, {
              headers: { "x-api-key": context.gateway.virtualKey, ...headers },
            })
          ).text(),
        );
      const names = models.toSorted();
      assert.deepEqual(
        (await list("/v1/models", {})).data.map((model: { id: string }) => model.id),
        names,
      );
      const anthropic = await list("/v1/models", { "anthropic-version": "2023-06-01" });
      assert.equal(anthropic.data[0].type, "model");
      assert.equal(anthropic.last_id, names.at(-1));
      const google = await list("/v1/models", { "x-goog-api-key": context.gateway.virtualKey });
      assert.equal(google.models[0].name, `models/${names[0]}`);
      assert.equal((await list("/v1beta/models", {})).models[0].name, `models/${names[0]}`);
      assert.equal((await list("/v1beta/models/fast", {})).name, "models/fast");
    });

    test("errors have the form of the caller's dialect", async () => {
      const anthropic = await send("/v1/messages", {
        model: "nope",
        max_tokens: 1,
        messages: [{ role: "user", content: "x" }],
      });
      assert.equal(anthropic.status, 404);
      assert.equal(JSON.parse(await anthropic.text()).error.type, "not_found_error");
      const gemini = await send("/v1beta/models/nope:generateContent", { contents: [{ parts: [{ text: "x" }] }] });
      assert.equal(gemini.status, 404);
      assert.equal(JSON.parse(await gemini.text()).error.status, "NOT_FOUND");
      const method = await send("/v1beta/models/fast:dance", { contents: [] });
      assert.equal(method.status, 404);
      const stored = await send("/v1/responses", { model: "fast", input: "x", previous_response_id: "resp_1" });
      assert.equal(stored.status, 404);
      assert.equal(JSON.parse(await stored.text()).error.param, "previous_response_id");
      const missing = await send("/v1/messages", { model: "fast", max_tokens: 1 });
      assert.equal(missing.status, 400);
    });
  },
);
