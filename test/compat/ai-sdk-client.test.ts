import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateText,
  isStepCount,
  type LanguageModel,
  Output,
  RetryError,
  streamText,
  tool,
} from "ai";
import * as z from "zod";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer } from "../harness/provider-answers.ts";
import { scriptedModel } from "./scripted-model.ts";
import { finalText, structuredAnswer, thoughtSignature, thoughtText } from "./scripted-turn.ts";
import { type Family, families, threeFamilies } from "./three-families.ts";

// Warnings about models whose names the SDK has never heard of say nothing here.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

const clients = ["openai", "openai.chat", "openai-compatible", "anthropic", "google"] as const;

inBothModes("Vercel's AI SDK", threeFamilies, (context) => {
  const prompt = "What is the weather in Paris?";

  /** A model of the gateway, by one of the SDK's own providers. */
  function open(client: (typeof clients)[number], model: string): Exclude<LanguageModel, string> {
    const { url, virtualKey: apiKey } = context.gateway;
    switch (client) {
      case "openai":
        return createOpenAI({ baseURL: `${url}/v1`, apiKey })(model);
      case "openai.chat":
        return createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(model);
      case "openai-compatible":
        return createOpenAICompatible({
          name: "penstock",
          baseURL: `${url}/v1`,
          apiKey,
          includeUsage: true,
          supportsStructuredOutputs: true,
        })(model);
      case "anthropic":
        return createAnthropic({ baseURL: `${url}/v1`, apiKey })(model);
      case "google":
        return createGoogle({ baseURL: `${url}/v1beta`, apiKey })(model);
    }
  }

  /** Tools that remember what they were asked. */
  function weatherTools() {
    const asked: unknown[] = [];
    const weather = tool({
      description: "The weather of a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: (input) => {
        asked.push(input);
        return "warm";
      },
    });
    return { asked, tools: { weather } };
  }

  beforeEach(() => {
    for (const model of families) {
      context.provider.script(model, scriptedModel);
    }
  });

  for (const client of clients) {
    for (const family of families) {
      test(`${client} at ${family}: a text, whole and streamed`, async () => {
        const model = open(client, family);
        const whole = await generateText({ model, prompt, maxRetries: 0 });
        assert.equal(whole.text, finalText);
        assert.equal(whole.finishReason, "stop");
        assert.deepEqual([whole.usage.inputTokens, whole.usage.outputTokens], [10, 5]);
        const streamed = streamText({ model, prompt, maxRetries: 0, onError: rethrow });
        assert.equal(await streamed.text, finalText);
        assert.equal(await streamed.finishReason, "stop");
        assert.deepEqual([(await streamed.usage).inputTokens, (await streamed.usage).outputTokens], [10, 5]);
      });

      test(`${client} at ${family}: tools run in steps until there is an answer, whole and streamed`, async () => {
        const whole = weatherTools();
        const common = { model: open(client, family), prompt, maxRetries: 0, stopWhen: isStepCount(3) };
        const answer = await generateText({ ...common, tools: whole.tools });
        assert.deepEqual(whole.asked, [{ city: "Paris" }]);
        assert.equal(answer.text, finalText);
        assert.deepEqual(
          answer.steps.map((step) => step.finishReason),
          ["tool-calls", "stop"],
        );
        const streamed = weatherTools();
        const stream = streamText({ ...common, tools: streamed.tools, onError: rethrow });
        assert.equal(await stream.text, finalText);
        assert.deepEqual(streamed.asked, [{ city: "Paris" }]);
        assert.equal((await stream.steps).length, 2);
      });

      test(`${client} at ${family}: an object by its schema, whole and streamed`, async () => {
        const output = Output.object({ schema: z.object({ city: z.string(), celsius: z.number() }) });
        const common = { model: open(client, family), prompt, maxRetries: 0, output };
        assert.deepEqual((await generateText(common)).output, structuredAnswer);
        assert.deepEqual(await streamText({ ...common, onError: rethrow }).output, structuredAnswer);
      });
    }
  }

  const thinking: readonly (readonly [(typeof clients)[number], Family])[] = [
    ["openai", "gpt"],
    ["openai", "claude"],
    ["openai", "flash"],
    ["openai-compatible", "claude"],
    ["openai-compatible", "flash"],
    ["anthropic", "claude"],
    ["anthropic", "flash"],
    ["google", "claude"],
    ["google", "flash"],
  ];
  for (const [client, family] of thinking) {
    test(`${client} at ${family}: thoughts are shown, and come back in the next step`, async () => {
      const { tools } = weatherTools();
      const common = {
        model: open(client, family),
        prompt,
        maxRetries: 0,
        stopWhen: isStepCount(3),
        tools,
        providerOptions: {
          openai: {
            store: false,
            forceReasoning: true,
            reasoningEffort: "low",
            reasoningSummary: "auto",
            include: ["reasoning.encrypted_content"],
          },
          penstock: { reasoningEffort: "low" },
          anthropic: { thinking: { type: "enabled", budgetTokens: 1_024 } },
          google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1_024 } },
        },
      };
      for (const steps of [
        (await generateText(common)).steps,
        await streamText({ ...common, onError: rethrow }).steps,
      ]) {
        assert.equal(steps[0]?.reasoningText, thoughtText);
        assert.equal(steps.at(-1)?.text, finalText);
        if (client !== "openai-compatible") {
          const sent = context.provider.requestsOf(family).at(-1)?.body.toString() ?? "";
          assert.ok(sent.includes(thoughtSignature), "the provider gets back what it signed");
        }
      }
    });
  }

  test("embeddings, by models of OpenAI's and of Google's", async () => {
    const { url, virtualKey: apiKey } = context.gateway;
    for (const model of ["vectors", "gemini-vectors"]) {
      for (const embedder of [
        createOpenAI({ baseURL: `${url}/v1`, apiKey }).embedding(model),
        createGoogle({ baseURL: `${url}/v1beta`, apiKey }).embedding(model),
        createOpenAICompatible({ name: "penstock", baseURL: `${url}/v1`, apiKey }).embeddingModel(model),
      ]) {
        const { embeddings } = await embedMany({ model: embedder, values: ["a", "b"] });
        assert.deepEqual(embeddings, [
          [0.25, -0.5, 0.125],
          [0.25, -0.5, 0.125],
        ]);
      }
    }
  });

  for (const client of clients) {
    test(`${client}: errors are told with their status, and tried again where that can help`, async () => {
      const { provider } = context;
      const common = { model: open(client, "gpt"), prompt };
      provider.script("gpt", errorAnswer(400));
      await assert.rejects(generateText(common), (error) => APICallError.isInstance(error) && error.statusCode === 400);
      provider.script("gpt", errorAnswer(429, { "retry-after-ms": "20" }), scriptedModel);
      assert.equal((await generateText(common)).text, finalText);
      provider.script("gpt", errorAnswer(503, { "retry-after-ms": "20" }));
      const before = provider.requestsOf("gpt").length;
      await assert.rejects(generateText({ ...common, maxRetries: 1 }), (error) => RetryError.isInstance(error));
      assert.equal(provider.requestsOf("gpt").length - before, 2);
    });
  }
});

function rethrow({ error }: { readonly error: unknown }): never {
  throw error;
}
