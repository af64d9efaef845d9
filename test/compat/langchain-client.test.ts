import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { AIMessageChunk, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, type ChatOpenAIFields, OpenAIEmbeddings } from "@langchain/openai";
import * as z from "zod";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer, json } from "../harness/provider-answers.ts";
import { scriptedModel } from "./scripted-model.ts";
import { finalText, structuredAnswer } from "./scripted-turn.ts";
import { families, threeFamilies } from "./three-families.ts";

inBothModes("LangChain's OpenAI client", threeFamilies, (context) => {
  const prompt = "What is the weather in Paris?";
  const open = (model: string, more: ChatOpenAIFields = {}): ChatOpenAI =>
    new ChatOpenAI({
      model,
      apiKey: context.gateway.virtualKey,
      configuration: { baseURL: `${context.gateway.url}/v1` },
      maxRetries: 0,
      ...more,
    });
  const weather = tool(() => "warm", {
    name: "weather",
    description: "The weather of a city.",
    schema: z.object({ city: z.string() }),
  });

  beforeEach(() => {
    for (const model of families) {
      context.provider.script(model, scriptedModel);
    }
  });

  for (const useResponsesApi of [false, true]) {
    for (const model of families) {
      const name = `${model} (${useResponsesApi ? "responses" : "chat"})`;

      test(`${name}: an answer, whole and streamed, with its usage`, async () => {
        const chat = open(model, { useResponsesApi });
        const whole = await chat.invoke(prompt);
        assert.equal(whole.text, finalText);
        assert.partialDeepStrictEqual(whole.usage_metadata, { input_tokens: 10, output_tokens: 5 });
        let all = new AIMessageChunk("");
        for await (const chunk of await chat.stream(prompt)) {
          all = all.concat(chunk);
        }
        assert.equal(all.text, finalText);
        assert.partialDeepStrictEqual(all.usage_metadata, { total_tokens: 15 });
      });

      test(`${name}: tools are called and answered, whole and streamed`, async () => {
        const chat = open(model, { useResponsesApi }).bindTools([weather]);
        const asked = new HumanMessage(prompt);
        const whole = await chat.invoke([asked]);
        let streamed = new AIMessageChunk("");
        for await (const chunk of await chat.stream([asked])) {
          streamed = streamed.concat(chunk);
        }
        for (const turn of [whole, streamed]) {
          const [call] = turn.tool_calls ?? [];
          assert.deepEqual([call?.name, call?.args], ["weather", { city: "Paris" }]);
          const result = new ToolMessage({ content: "warm", tool_call_id: call?.id ?? "" });
          assert.equal((await chat.invoke([asked, turn, result])).text, finalText);
        }
      });

      for (const method of ["jsonSchema", "functionCalling"] as const) {
        test(`${name}: a structured answer by ${method}`, async () => {
          const schema = z.object({ city: z.string(), celsius: z.number() });
          const chat = open(model, { useResponsesApi }).withStructuredOutput(schema, { name: "report", method });
          assert.deepEqual(await chat.invoke(prompt), structuredAnswer);
        });
      }
    }
  }

  test("embeddings, by models of OpenAI's and of Google's", async () => {
    for (const model of ["vectors", "gemini-vectors"]) {
      const embedder = new OpenAIEmbeddings({
        model,
        apiKey: context.gateway.virtualKey,
        configuration: { baseURL: `${context.gateway.url}/v1` },
      });
      assert.equal((await embedder.embedDocuments(["a", "b"])).length, 2);
      assert.deepEqual(await embedder.embedQuery("a"), [0.25, -0.5, 0.125]);
    }
  });

  test("errors are told as LangChain tells them, and only tried again where that can help", async () => {
    const { provider } = context;
    const countOf = async (model: string, more: ChatOpenAIFields, expected: RegExp): Promise<number> => {
      const before = provider.requestsOf(model).length;
      await assert.rejects(open(model, more).invoke(prompt), expected);
      return provider.requestsOf(model).length - before;
    };
    provider.script("gpt", errorAnswer(400));
    assert.equal(await countOf("gpt", { maxRetries: 2 }, /scripted 400/), 1);
    const empty = {
      error: { message: "no credit", type: "insufficient_quota", param: null, code: "insufficient_quota" },
    };
    for (const model of families) {
      provider.script(model, json(empty, 429));
      assert.equal(await countOf(model, { maxRetries: 2 }, /no credit/), 1, "an empty account stays empty");
    }
    provider.script("flash", errorAnswer(503), scriptedModel);
    assert.equal((await open("flash", { maxRetries: 1 }).invoke(prompt)).text, finalText);
    await assert.rejects(open("nothing").invoke(prompt), /nothing/);
  });
});
