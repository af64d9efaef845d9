import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import OpenAI from "openai";
import { ResponsesToolRunner } from "openai/helpers/responses-tool-runner";
import { zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import * as z from "zod";
import { inMode } from "../harness/both-modes.ts";
import { errorAnswer } from "../harness/provider-answers.ts";
import { scriptedModel } from "./scripted-model.ts";
import { finalText, structuredAnswer, thoughtText } from "./scripted-turn.ts";
import { families, threeFamilies } from "./three-families.ts";

const weather = z.object({ city: z.string(), celsius: z.number() });
const place = z.object({ city: z.string() });

inMode("embedded", "what else OpenAI's own client does", threeFamilies, (context) => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the weather in Paris?" }];
  const input = "What is the weather in Paris?";
  const open = (maxRetries = 0): OpenAI =>
    new OpenAI({ baseURL: `${context.gateway.url}/v1`, apiKey: context.gateway.virtualKey, maxRetries });

  beforeEach(() => {
    for (const model of families) {
      context.provider.script(model, scriptedModel);
    }
  });

  for (const model of families) {
    test(`${model}: chat answers are parsed by their schema, whole and streamed`, async () => {
      const body = { model, messages, response_format: zodResponseFormat(weather, "weather") };
      const whole = await open().chat.completions.parse(body);
      assert.deepEqual(whole.choices[0]?.message.parsed, structuredAnswer);
      const streamed = await open().chat.completions.stream(body).finalChatCompletion();
      assert.deepEqual(streamed.choices[0]?.message.parsed, structuredAnswer);
    });

    test(`${model}: the stream helper tells of a call's arguments when they are whole`, async () => {
      const done: unknown[] = [];
      const stream = open().chat.completions.stream({
        model,
        messages,
        tools: [{ type: "function", function: { name: "weather", parameters: z.toJSONSchema(place) } }],
      });
      stream.on("tool_calls.function.arguments.done", (call) => done.push([call.name, JSON.parse(call.arguments)]));
      const [choice] = (await stream.finalChatCompletion()).choices;
      assert.deepEqual(done, [["weather", { city: "Paris" }]]);
      assert.equal(choice?.finish_reason, "tool_calls");
    });

    test(`${model}: a response, its stream, and its parsed forms`, async () => {
      const whole = await open().responses.create({ model, input });
      assert.equal(whole.output_text, finalText);
      assert.equal(whole.status, "completed");
      assert.equal(whole.usage?.total_tokens, 15);

      let text = "";
      const stream = open().responses.stream({ model, input });
      stream.on("response.output_text.delta", ({ delta }) => {
        text += delta;
      });
      assert.equal((await stream.finalResponse()).output_text, finalText);
      assert.equal(text, finalText);

      const format = { format: zodTextFormat(weather, "weather") };
      assert.deepEqual((await open().responses.parse({ model, input, text: format })).output_parsed, structuredAnswer);
      const parsed = await open().responses.stream({ model, input, text: format }).finalResponse();
      assert.deepEqual(parsed.output_parsed, structuredAnswer);
    });

    test(`${model}: responses call tools, and go on from their own output items`, async () => {
      const tools = [zodResponsesFunction({ name: "weather", parameters: place })];
      const asked: OpenAI.Responses.ResponseInput = [{ role: "user", content: input }];
      for (const streamed of [false, true]) {
        const body = {
          model,
          input: asked,
          tools,
          store: false,
          include: ["reasoning.encrypted_content" as const],
          reasoning: { effort: "low" as const, summary: "auto" as const },
        };
        const first = streamed
          ? await open().responses.stream(body).finalResponse()
          : await open().responses.parse(body);
        const call = first.output.find((item) => item.type === "function_call");
        assert.deepEqual(call?.parsed_arguments, { city: "Paris" });
        const thought = first.output.find((item) => item.type === "reasoning");
        assert.equal(thought?.summary[0]?.text ?? thought?.content?.[0]?.text, thoughtText);

        const output = { type: "function_call_output" as const, call_id: call?.call_id ?? "", output: "warm" };
        // What the helper adds to items goes back as clients send it: as it is.
        const last = await open().responses.create({
          ...body,
          input: [...asked, ...(first.output as OpenAI.Responses.ResponseInputItem[]), output],
        });
        assert.equal(last.output_text, finalText);
      }
    });
  }

  for (const model of families) {
    test(`${model}: the runner of responses runs functions until there is an answer`, async () => {
      const asked: unknown[] = [];
      const tool = {
        type: "function" as const,
        name: "weather",
        strict: true,
        parameters: { ...z.toJSONSchema(place), additionalProperties: false },
      };
      const execute = (given: Record<string, unknown>): string => {
        asked.push(given);
        return "warm";
      };
      const runner = new ResponsesToolRunner({ functions: [{ tool, execute }] });
      for (const stream of [false, true]) {
        const last = await runner.run(open(), { model, input, store: false }, { stream });
        assert.equal(last.output_text, finalText);
      }
      assert.deepEqual(asked, [{ city: "Paris" }, { city: "Paris" }]);
    });
  }

  test("embeddings of Google's models are read as those of OpenAI's", async () => {
    for (const model of ["vectors", "gemini-vectors"]) {
      const { data } = await open().embeddings.create({ model, input: ["a", "b"] });
      assert.deepEqual(data[1]?.embedding, [0.25, -0.5, 0.125]);
      const floats = await open().embeddings.create({ model, input: "a", encoding_format: "float" });
      assert.deepEqual(floats.data[0]?.embedding, [0.25, -0.5, 0.125]);
    }
  });

  test("a failed response is an error of the client, whole and streamed", async () => {
    for (const model of families) {
      context.provider.script(model, errorAnswer(429, { "retry-after": "1" }));
      await assert.rejects(open().responses.create({ model, input }), OpenAI.RateLimitError);
      await assert.rejects(open().responses.stream({ model, input }).finalResponse(), OpenAI.RateLimitError);
    }
  });

  test("the client waits as long as the provider asked for, and tries again", async () => {
    context.provider.script("flash", errorAnswer(429, { "retry-after-ms": "20" }), scriptedModel);
    const before = context.provider.requestsOf("flash").length;
    const { data, response } = await open(1).responses.create({ model: "flash", input }).withResponse();
    assert.equal(data.output_text, finalText);
    assert.equal(response.headers.get("x-penstock-provider"), "gemini");
    assert.equal(context.provider.requestsOf("flash").length - before, 2);
  });
});
