import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import * as z from "zod";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer, json } from "../harness/provider-answers.ts";
import { scriptedModel } from "./scripted-model.ts";
import { finalText, structuredAnswer, thoughtSignature, thoughtText } from "./scripted-turn.ts";
import { families, threeFamilies } from "./three-families.ts";

const place = z.object({ city: z.string() });

inBothModes("Anthropic's own client", threeFamilies, (context) => {
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is the weather in Paris?" }];
  const tool: Anthropic.Tool = {
    name: "weather",
    description: "The weather of a city.",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  };
  const common = { max_tokens: 2_000, messages };
  const thinking = { type: "enabled", budget_tokens: 1_024 } as const;

  /** A client that counts the requests that it really sends. */
  function open(options: { readonly key?: string; readonly maxRetries?: number } = {}) {
    const sent: string[] = [];
    const client = new Anthropic({
      baseURL: context.gateway.url,
      apiKey: options.key ?? context.gateway.virtualKey,
      maxRetries: options.maxRetries ?? 0,
      fetch: (input, init) => {
        sent.push(input instanceof Request ? input.url : String(input));
        return fetch(input, init);
      },
    });
    return { client, sent };
  }

  beforeEach(() => {
    for (const model of families) {
      context.provider.script(model, scriptedModel);
    }
  });

  for (const model of families) {
    test(`${model}: a message, a stream and the helper of streams`, async () => {
      const { client } = open();
      const whole = await client.messages.create({ model, ...common });
      assert.deepEqual(textOf(whole), finalText);
      assert.equal(whole.stop_reason, "end_turn");
      assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens], [10, 5]);
      assert.match(whole._request_id ?? "", /^req_/);

      const deltas: string[] = [];
      const stream = client.messages.stream({ model, ...common });
      stream.on("text", (delta) => deltas.push(delta));
      const last = await stream.finalMessage();
      assert.equal(deltas.join(""), finalText);
      assert.equal(textOf(last), finalText);
      assert.deepEqual([last.stop_reason, last.usage.output_tokens], ["end_turn", 5]);
    });

    test(`${model}: the stream helper tells of a call's input while it comes`, async () => {
      const pieces: string[] = [];
      const stream = open().client.messages.stream({ model, ...common, tools: [tool] });
      stream.on("inputJson", (piece) => pieces.push(piece));
      const { content, stop_reason: reason } = await stream.finalMessage();
      assert.deepEqual(JSON.parse(pieces.join("")), { city: "Paris" });
      const call = content.find((block) => block.type === "tool_use");
      assert.deepEqual([call?.name, call?.input, reason], ["weather", { city: "Paris" }, "tool_use"]);
    });

    for (const stream of [false, true]) {
      test(`${model}: tools run until the model has its answer (stream: ${stream})`, async () => {
        const asked: unknown[] = [];
        const run = (input: z.infer<typeof place>): string => {
          asked.push(input);
          return "warm";
        };
        const weather = betaZodTool({ name: "weather", description: "The weather.", inputSchema: place, run });
        const last = await open().client.beta.messages.toolRunner({
          model,
          max_tokens: 2_000,
          messages: [{ role: "user", content: "What is the weather in Paris?" }],
          tools: [weather],
          stream,
        });
        assert.deepEqual(asked, [{ city: "Paris" }]);
        const [block] = last.content;
        assert.equal(block?.type === "text" && block.text, finalText);
      });
    }

    test(`${model}: an answer is parsed by its schema, whole and streamed`, async () => {
      const format = zodOutputFormat(z.object({ city: z.string(), celsius: z.number() }));
      const body = { model, ...common, output_config: { format } };
      assert.deepEqual((await open().client.messages.parse(body)).parsed_output, structuredAnswer);
      const streamed = await open().client.messages.stream(body).finalMessage();
      assert.deepEqual(streamed.parsed_output, structuredAnswer);
    });
  }

  for (const model of ["claude", "flash"]) {
    for (const streamed of [false, true]) {
      test(`${model}: thoughts come back to the provider with their signatures (stream: ${streamed})`, async () => {
        const { client } = open();
        const body = { model, ...common, thinking, tools: [tool] };
        const turn = streamed ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
        const thought = turn.content.find((block) => block.type === "thinking");
        assert.equal(thought?.thinking, thoughtText);
        const call = turn.content.find((block) => block.type === "tool_use");
        const result = { type: "tool_result" as const, tool_use_id: call?.id ?? "", content: "warm" };
        const last = await client.messages.create({
          ...body,
          messages: [...messages, { role: "assistant", content: turn.content }, { role: "user", content: [result] }],
        });
        assert.equal(textOf(last), finalText);
        const sent = context.provider.requestsOf(model).at(-1)?.body.toString() ?? "";
        assert.ok(sent.includes(thoughtSignature), "the provider gets back what it signed");
      });
    }
  }

  test("models are listed and looked up", async () => {
    const { client } = open();
    const names: string[] = [];
    for await (const model of client.models.list()) {
      names.push(model.id);
    }
    assert.ok(
      families.every((model) => names.includes(model)),
      names.join(),
    );
    assert.equal((await client.models.retrieve("flash")).type, "model");
    await assert.rejects(
      client.models.retrieve("nothing"),
      (error) => error instanceof Anthropic.NotFoundError && error.type === "not_found_error",
    );
  });

  test("errors have the classes that the client knows, and the request's id", async () => {
    const { gateway, provider } = context;
    const ask = (client: Anthropic, model = "claude") => client.messages.create({ model, ...common });
    await assert.rejects(ask(open({ key: "sk-pen-nobody-nothing" }).client), Anthropic.AuthenticationError);
    await assert.rejects(ask(open().client, "nothing"), Anthropic.NotFoundError);
    const { secret: limited } = await gateway.createKey({ allowedModels: ["flash"] });
    await assert.rejects(ask(open({ key: limited }).client), Anthropic.PermissionDeniedError);
    const { secret: poor } = await gateway.createKey({ budgetNanosUsd: 0n });
    const refused = open({ key: poor, maxRetries: 2 });
    await assert.rejects(ask(refused.client, "gpt"), (error) => {
      assert.ok(error instanceof Anthropic.RateLimitError);
      assert.equal(error.type, "rate_limit_error");
      assert.match(error.requestID ?? "", /^req_/);
      return true;
    });
    assert.equal(refused.sent.length, 1, "a budget that is used up does not come back");
    await assert.rejects(
      open().client.messages.create({ model: "gpt", max_tokens: -1, messages }),
      Anthropic.BadRequestError,
    );
    provider.script("claude", errorAnswer(500));
    await assert.rejects(ask(open().client), Anthropic.InternalServerError);
  });

  test("the client waits as long as the provider asked for, and tries again", async () => {
    const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    context.provider.script("claude", json(overloaded, 529, { "retry-after-ms": "20" }), scriptedModel);
    const { client, sent } = open({ maxRetries: 1 });
    assert.equal(textOf(await client.messages.create({ model: "claude", ...common })), finalText);
    assert.equal(sent.length, 2);
  });

  test("a stream that breaks in the middle is an error of the client, not an end", async () => {
    for (const model of families) {
      context.provider.script(model, (request) => {
        const { parts = [], ...answer } = scriptedModel(request);
        return { ...answer, parts: parts.slice(0, -2), ending: "cut" };
      });
      const stream = open().client.messages.stream({ model, ...common });
      await assert.rejects(stream.finalMessage(), Anthropic.AnthropicError, model);
    }
  });

  test("a client that aborts ends the request at the provider", async () => {
    const { provider } = context;
    provider.script("claude", { ending: "stall" });
    const number = provider.requestsOf("claude").length + 1;
    const controller = new AbortController();
    const call = open().client.messages.create({ model: "claude", ...common }, { signal: controller.signal });
    const request = await provider.waitForRequestOf("claude", number);
    controller.abort();
    await assert.rejects(call, Anthropic.APIUserAbortError);
    assert.equal((await provider.waitForClose(request)).closedBy, "peer");
  });
});

function textOf(message: Anthropic.Message): string {
  return message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
}
