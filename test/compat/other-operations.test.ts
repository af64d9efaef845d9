import assert from "node:assert/strict";
import { test } from "node:test";
import { createGoogle } from "@ai-sdk/google";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { embed } from "ai";
import OpenAI, { toFile } from "openai";
import { inMode } from "../harness/both-modes.ts";
import type { ScriptedAnswer } from "../harness/fake-provider.ts";
import { json, stream } from "../harness/provider-answers.ts";
import { families, threeFamilies } from "./three-families.ts";

inMode("embedded", "what real clients do beside conversations", threeFamilies, (context) => {
  const open = (): OpenAI =>
    new OpenAI({ baseURL: `${context.gateway.url}/v1`, apiKey: context.gateway.virtualKey, maxRetries: 0 });
  const script = (model: string, answer: ScriptedAnswer): void => context.provider.script(model, answer);

  for (const model of families) {
    test(`${model}: Anthropic's and Google's clients count tokens`, async () => {
      context.provider.script(model, ({ path }) =>
        path.includes(":countTokens") ? json({ totalTokens: 7 }) : json({ input_tokens: 7 }),
      );
      const anthropic = new Anthropic({ baseURL: context.gateway.url, apiKey: context.gateway.virtualKey });
      const { input_tokens: counted } = await anthropic.messages.countTokens({
        model,
        messages: [{ role: "user", content: "What is the weather in Paris?" }],
      });
      assert.ok(counted > 0);
      const google = new GoogleGenAI({
        apiKey: context.gateway.virtualKey,
        httpOptions: { baseUrl: context.gateway.url },
      });
      const { totalTokens } = await google.models.countTokens({ model, contents: "What is the weather in Paris?" });
      assert.ok((totalTokens ?? 0) > 0);
    });
  }

  test("Vercel's AI SDK embeds one text by Google's door", async () => {
    const google = createGoogle({ baseURL: `${context.gateway.url}/v1beta`, apiKey: context.gateway.virtualKey });
    script("gemini-vectors", json({ embedding: { values: [0.25, -0.5, 0.125] } }));
    for (const model of ["vectors", "gemini-vectors"]) {
      const { embedding } = await embed({ model: google.embedding(model), value: "a" });
      assert.deepEqual(embedding, [0.25, -0.5, 0.125]);
    }
  });

  test("OpenAI's client completes a text, whole and streamed", async () => {
    const completion = (text: string, finish: string | null): object => ({
      id: "cmpl-1",
      object: "text_completion",
      created: 1,
      model: "gpt",
      choices: [{ index: 0, text, logprobs: null, finish_reason: finish }],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    });
    context.provider.script("gpt", (request) =>
      request.stream
        ? stream([completion("Hello ", null), completion("there.", "stop"), "[DONE]"])
        : json(completion("Hello there.", "stop")),
    );
    const body = { model: "gpt", prompt: "Say hello." };
    assert.equal((await open().completions.create(body)).choices[0]?.text, "Hello there.");
    let text = "";
    for await (const chunk of await open().completions.create({ ...body, stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    assert.equal(text, "Hello there.");
  });

  test("OpenAI's client moderates, draws, speaks and listens", async () => {
    const client = open();
    script(
      "gpt",
      json({ id: "modr-1", model: "gpt", results: [{ flagged: false, categories: {}, category_scores: {} }] }),
    );
    assert.equal((await client.moderations.create({ model: "gpt", input: "a" })).results[0]?.flagged, false);
    script("gpt", json({ created: 1, data: [{ b64_json: "AAAA" }] }));
    assert.equal((await client.images.generate({ model: "gpt", prompt: "a" })).data?.[0]?.b64_json, "AAAA");
    script("gpt", { headers: { "content-type": "audio/mpeg" }, parts: ["sound"] });
    const speech = await client.audio.speech.create({ model: "gpt", voice: "alloy", input: "a" });
    assert.equal(await speech.text(), "sound");
    script("gpt", json({ text: "heard", usage: { type: "duration", seconds: 1 } }));
    const file = await toFile(Buffer.from("sound"), "a.mp3");
    assert.equal((await client.audio.transcriptions.create({ model: "gpt", file })).text, "heard");
  });
});
