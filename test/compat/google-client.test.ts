import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError, type CallableTool, type Content, GoogleGenAI, type Part, Type } from "@google/genai";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer } from "../harness/provider-answers.ts";
import { scriptedModel } from "./scripted-model.ts";
import { finalText, structuredAnswer, thoughtSignature, thoughtText } from "./scripted-turn.ts";
import { families, threeFamilies } from "./three-families.ts";

const contents = "What is the weather in Paris?";
const weather = {
  name: "weather",
  description: "The weather of a city.",
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
};
const tools = [{ functionDeclarations: [weather] }];

inBothModes("Google's own client", threeFamilies, (context) => {
  const open = (options: { readonly key?: string; readonly attempts?: number } = {}): GoogleGenAI =>
    new GoogleGenAI({
      apiKey: options.key ?? context.gateway.virtualKey,
      httpOptions: {
        baseUrl: context.gateway.url,
        ...(options.attempts === undefined ? {} : { retryOptions: { attempts: options.attempts, initialDelay: 0.01 } }),
      },
    });

  beforeEach(() => {
    for (const model of families) {
      context.provider.script(model, scriptedModel);
    }
  });

  for (const model of families) {
    test(`${model}: content, whole and streamed`, async () => {
      const whole = await open().models.generateContent({ model, contents });
      assert.equal(whole.text, finalText);
      assert.equal(whole.candidates?.[0]?.finishReason, "STOP");
      assert.equal(whole.usageMetadata?.totalTokenCount, 15);
      let text = "";
      let total: number | undefined;
      let finish: string | undefined;
      for await (const chunk of await open().models.generateContentStream({ model, contents })) {
        text += chunk.text ?? "";
        total = chunk.usageMetadata?.totalTokenCount ?? total;
        finish = chunk.candidates?.[0]?.finishReason ?? finish;
      }
      assert.deepEqual([text, finish, total], [finalText, "STOP", 15]);
    });

    test(`${model}: functions are called by hand, whole and streamed`, async () => {
      for (const streamed of [false, true]) {
        const asked: Content[] = [{ role: "user", parts: [{ text: contents }] }];
        const chat = open().chats.create({ model, config: { tools }, history: asked });
        let calls = (streamed ? undefined : await chat.sendMessage({ message: "Now." }))?.functionCalls;
        if (streamed) {
          for await (const chunk of await chat.sendMessageStream({ message: "Now." })) {
            calls = chunk.functionCalls ?? calls;
          }
        }
        assert.deepEqual([calls?.[0]?.name, calls?.[0]?.args], ["weather", { city: "Paris" }]);
        const functionResponse = { name: "weather", response: { output: "warm" }, ...idOf(calls?.[0]?.id) };
        const last = await chat.sendMessage({ message: [{ functionResponse }] });
        assert.equal(last.text, finalText);
      }
    });

    test(`${model}: functions are called by the client until the model has its answer`, async () => {
      const asked: unknown[] = [];
      const callable: CallableTool = {
        tool: () => Promise.resolve({ functionDeclarations: [weather] }),
        callTool(calls) {
          asked.push(...calls.map((call) => call.args));
          return Promise.resolve(
            calls.map(
              (call): Part => ({
                functionResponse: { name: call.name ?? "", response: { output: "warm" }, ...idOf(call.id) },
              }),
            ),
          );
        },
      };
      const answer = await open().models.generateContent({ model, contents, config: { tools: [callable] } });
      assert.deepEqual(asked, [{ city: "Paris" }]);
      assert.equal(answer.text, finalText);
    });

    test(`${model}: JSON by either kind of schema`, async () => {
      const properties = { city: { type: Type.STRING }, celsius: { type: Type.INTEGER } };
      const responseSchema = { type: Type.OBJECT, properties, required: ["city", "celsius"] };
      const responseJsonSchema = {
        type: "object",
        properties: { city: { type: "string" }, celsius: { type: "integer" } },
        required: ["city", "celsius"],
        additionalProperties: false,
      };
      for (const schema of [{ responseSchema }, { responseJsonSchema }]) {
        const config = { responseMimeType: "application/json", ...schema };
        const answer = await open().models.generateContent({ model, contents, config });
        assert.deepEqual(JSON.parse(answer.text ?? ""), structuredAnswer);
      }
    });
  }

  for (const model of ["claude", "flash"]) {
    test(`${model}: thoughts are told apart and come back with their signatures`, async () => {
      const config = { tools, thinkingConfig: { includeThoughts: true, thinkingBudget: 1_024 } };
      const chat = open().chats.create({ model, config });
      const first = await chat.sendMessage({ message: contents });
      const parts = first.candidates?.[0]?.content?.parts ?? [];
      assert.equal(parts.find((part) => part.thought === true)?.text, thoughtText);
      const [call] = first.functionCalls ?? [];
      const functionResponse = { name: "weather", response: { output: "warm" }, ...idOf(call?.id) };
      assert.equal((await chat.sendMessage({ message: [{ functionResponse }] })).text, finalText);
      const sent = context.provider.requestsOf(model).at(-1)?.body.toString() ?? "";
      assert.ok(sent.includes(thoughtSignature), "the provider gets back what it signed");
    });
  }

  test("one text and many are embedded, by models of Google's and of OpenAI's", async () => {
    for (const model of ["vectors", "gemini-vectors"]) {
      const { embeddings } = await open().models.embedContent({ model, contents: ["a", "b"] });
      assert.deepEqual(
        embeddings?.map((embedding) => embedding.values),
        [
          [0.25, -0.5, 0.125],
          [0.25, -0.5, 0.125],
        ],
      );
      assert.equal((await open().models.embedContent({ model, contents: "a" })).embeddings?.length, 1);
    }
  });

  test("models are listed and looked up", async () => {
    const names: string[] = [];
    for await (const model of await open().models.list()) {
      names.push(model.name ?? "");
    }
    assert.ok(names.includes("models/flash"), names.join());
    assert.equal((await open().models.get({ model: "flash" })).name, "models/flash");
    await assert.rejects(open().models.get({ model: "nothing" }), /"status":"NOT_FOUND"/);
  });

  test("errors have the status that callers look at", async () => {
    const { gateway } = context;
    const fails = async (client: GoogleGenAI, model = "flash"): Promise<number | undefined> => {
      try {
        await client.models.generateContent({ model, contents });
      } catch (error) {
        assert.ok(error instanceof ApiError, String(error));
        return error.status;
      }
      return undefined;
    };
    assert.equal(await fails(open({ key: "sk-pen-nobody-nothing" })), 401);
    assert.equal(await fails(open(), "nothing"), 404);
    const { secret: limited } = await gateway.createKey({ allowedModels: ["gpt"] });
    assert.equal(await fails(open({ key: limited })), 403);
    const { secret: poor } = await gateway.createKey({ budgetNanosUsd: 0n });
    assert.equal(await fails(open({ key: poor }), "gpt"), 429);
    for (const model of families) {
      context.provider.script(model, errorAnswer(503));
      assert.equal(await fails(open(), model), 503);
    }
  });

  test("a client with retries tries again", async () => {
    const before = context.provider.requestsOf("flash").length;
    context.provider.script("flash", errorAnswer(500), scriptedModel);
    assert.equal((await open({ attempts: 2 }).models.generateContent({ model: "flash", contents })).text, finalText);
    assert.equal(context.provider.requestsOf("flash").length - before, 2);
  });

  test("a stream that breaks in the middle is an error of the client, not an end", async () => {
    for (const model of families) {
      context.provider.script(model, (request) => {
        const { parts = [], ...answer } = scriptedModel(request);
        return { ...answer, parts: parts.slice(0, -3), ending: "cut" };
      });
      await assert.rejects(
        async () => {
          for await (const chunk of await open().models.generateContentStream({ model, contents })) {
            assert.notEqual(chunk.candidates?.[0]?.finishReason, "STOP");
          }
        },
        ApiError,
        model,
      );
    }
  });

  test("a client that aborts ends the request at the provider", async () => {
    const { provider } = context;
    provider.script("flash", { ending: "stall" });
    const number = provider.requestsOf("flash").length + 1;
    const controller = new AbortController();
    const call = open().models.generateContent({
      model: "flash",
      contents,
      config: { abortSignal: controller.signal },
    });
    const request = await provider.waitForRequestOf("flash", number);
    controller.abort();
    await assert.rejects(call);
    assert.equal((await provider.waitForClose(request)).closedBy, "peer");
  });
});

/** The id of a call, where it has one: not all of Google's do. */
function idOf(id: string | undefined): { readonly id?: string } {
  return id === undefined ? {} : { id };
}
