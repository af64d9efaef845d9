import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { inBothModes } from "../harness/both-modes.ts";
import type { ProviderRequest } from "../harness/fake-provider.ts";
import { errorAnswer, goodAnswer, json, openAiStream } from "../harness/provider-answers.ts";

inBothModes(
  "OpenAI's own client",
  ({ url }) => `
providers:
  fake: { kind: openai, base_url: "${url}/v1", api_key: sk-fake }
  claude: { kind: anthropic, base_url: "${url}", api_key: none }
models:
  fast: { route: [{ target: fake/fast }], retry: { attempts: 1 } }
  sonnet: { route: [{ target: claude/sonnet }], retry: { attempts: 1 } }
  vectors: { route: [{ target: fake/vectors }] }
prices: { overrides: { fake/fast: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the weather in Paris?" }];

    /** A client that counts the requests that it really sends. */
    function open(options: { readonly key?: string; readonly maxRetries?: number } = {}) {
      const sent: string[] = [];
      const client = new OpenAI({
        baseURL: `${context.gateway.url}/v1`,
        apiKey: options.key ?? context.gateway.virtualKey,
        maxRetries: options.maxRetries ?? 0,
        fetch: (input, init) => {
          sent.push(input instanceof Request ? input.url : String(input));
          return fetch(input, init);
        },
      });
      return { client, sent };
    }

    for (const model of ["fast", "sonnet"]) {
      test(`${model}: a chat, a stream and the helpers of streams`, async () => {
        context.provider.script("fast", (request) => goodAnswer(request, { text: "Sunny and warm." }));
        context.provider.script("sonnet", (request) => goodAnswer(request, { text: "Sunny and warm." }));
        const { client } = open();
        const whole = await client.chat.completions.create({ model, messages, max_completion_tokens: 50 });
        assert.equal(whole.choices[0]?.message.content, "Sunny and warm.");
        assert.equal(whole.usage?.total_tokens, 15);
        assert.match(whole._request_id ?? "", /^req_/);

        let text = "";
        let usage: OpenAI.CompletionUsage | null | undefined;
        for await (const chunk of await client.chat.completions.create({
          model,
          messages,
          max_completion_tokens: 50,
          stream: true,
          stream_options: { include_usage: true },
        })) {
          text += chunk.choices[0]?.delta.content ?? "";
          usage = chunk.usage ?? usage;
        }
        assert.equal(text, "Sunny and warm.");
        assert.equal(usage?.completion_tokens, 5);

        const deltas: string[] = [];
        const stream = client.chat.completions.stream({ model, messages, max_completion_tokens: 50 });
        stream.on("content", (delta) => deltas.push(delta));
        assert.equal((await stream.finalChatCompletion()).choices[0]?.finish_reason, "stop");
        assert.equal(deltas.join(""), "Sunny and warm.");
      });

      for (const streamed of [false, true]) {
        test(`${model}: tools run until the model has its answer (stream: ${streamed})`, async () => {
          const answer = model === "fast" ? openAiTools : anthropicTools;
          context.provider.script(model, answer);
          const asked: unknown[] = [];
          const { client } = open();
          const body = {
            model,
            messages: [...messages],
            max_completion_tokens: 50,
            tools: [
              {
                type: "function" as const,
                function: {
                  name: "weather",
                  description: "The weather of a city.",
                  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
                  parse: JSON.parse,
                  function: (input: object) => {
                    asked.push(input);
                    return "warm";
                  },
                },
              },
            ],
          };
          const text = streamed
            ? await client.chat.completions.runTools({ ...body, stream: true }).finalContent()
            : await client.chat.completions.runTools(body).finalContent();
          assert.deepEqual(asked, [{ city: "Paris" }]);
          assert.equal(text, "It is warm.");
        });
      }
    }

    test("embeddings arrive as numbers, which the client asks for as base64", async () => {
      const { data, usage } = await open().client.embeddings.create({ model: "vectors", input: ["a", "b"] });
      assert.deepEqual(
        data.map((entry) => entry.embedding),
        [
          [0.25, -0.5, 0.125],
          [0.25, -0.5, 0.125],
        ],
      );
      assert.equal(usage.prompt_tokens, 10);
      assert.equal(context.provider.requestsOf("vectors").at(-1)?.json["encoding_format"], "base64");
    });

    test("models are listed and looked up", async () => {
      const { client } = open();
      const names: string[] = [];
      for await (const model of client.models.list()) {
        names.push(model.id);
      }
      assert.deepEqual(names, ["fast", "sonnet", "vectors"]);
      assert.equal((await client.models.retrieve("sonnet")).object, "model");
    });

    test("errors have the classes that the client knows", async () => {
      const { gateway, provider } = context;
      const chat = (client: OpenAI, model = "fast") => client.chat.completions.create({ model, messages });
      await assert.rejects(chat(open({ key: "sk-pen-nobody-nothing" }).client), OpenAI.AuthenticationError);
      await assert.rejects(chat(open().client, "nothing"), OpenAI.NotFoundError);
      await assert.rejects(open().client.models.retrieve("nothing"), OpenAI.NotFoundError);
      const { secret: limited } = await gateway.createKey({ allowedModels: ["sonnet"] });
      await assert.rejects(chat(open({ key: limited }).client), OpenAI.PermissionDeniedError);
      const { secret: poor } = await gateway.createKey({ budgetNanosUsd: 0n });
      await assert.rejects(chat(open({ key: poor }).client), (error) => {
        assert.ok(error instanceof OpenAI.RateLimitError);
        assert.equal(error.code, "insufficient_quota");
        assert.match(error.requestID ?? "", /^req_/);
        return true;
      });
      await assert.rejects(
        open().client.chat.completions.create({ model: "fast", messages, temperature: 99 }),
        OpenAI.BadRequestError,
      );
      provider.script("fast", errorAnswer(500));
      await assert.rejects(chat(open().client), OpenAI.InternalServerError);
    });

    test("a stream that breaks in the middle is an error of the client, not an end", async () => {
      const whole = openAiStream({ pieces: ["One ", "two."] });
      context.provider.script("fast", { ...whole, parts: whole.parts?.slice(0, 2) ?? [], ending: "cut" });
      let text = "";
      await assert.rejects(async () => {
        for await (const chunk of await open().client.chat.completions.create({
          model: "fast",
          messages,
          stream: true,
        })) {
          text += chunk.choices[0]?.delta.content ?? "";
        }
      }, OpenAI.APIError);
      assert.equal(text, "One ");
    });

    test("the client tries again what may succeed, and nothing else", async () => {
      const { gateway, provider } = context;
      provider.script("fast", errorAnswer(500), (request) => goodAnswer(request));
      const retried = open({ maxRetries: 2 });
      const answer = await retried.client.chat.completions.create({ model: "fast", messages });
      assert.equal(answer.choices[0]?.message.content, "Hello!");
      assert.equal(retried.sent.length, 2);

      const { secret: poor } = await gateway.createKey({ budgetNanosUsd: 0n });
      const refused = open({ key: poor, maxRetries: 2 });
      await assert.rejects(refused.client.chat.completions.create({ model: "fast", messages }), OpenAI.RateLimitError);
      assert.equal(refused.sent.length, 1, "a budget that is used up does not come back");
    });

    test("a client that aborts ends the request at the provider", async () => {
      const { provider } = context;
      provider.script("fast", { ending: "stall" });
      const number = provider.requestsOf("fast").length + 1;
      const controller = new AbortController();
      const call = open().client.chat.completions.create({ model: "fast", messages }, { signal: controller.signal });
      const request = await provider.waitForRequestOf("fast", number);
      controller.abort();
      await assert.rejects(call, OpenAI.APIUserAbortError);
      assert.equal((await provider.waitForClose(request)).closedBy, "peer");
    });
  },
);

/** Whether the conversation already holds what the tool said. */
function hasToolResult(request: ProviderRequest): boolean {
  const text = JSON.stringify(request.json["messages"]);
  return text.includes('"role":"tool"') || text.includes('"tool_result"');
}

function openAiTools(request: ProviderRequest) {
  if (hasToolResult(request)) {
    return goodAnswer(request, { text: "It is warm." });
  }
  const call = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } };
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const common = { id: "chatcmpl-1", created: 1_700_000_000, model: request.model };
  if (!request.stream) {
    return json({
      ...common,
      object: "chat.completion",
      choices: [
        { index: 0, message: { role: "assistant", content: null, tool_calls: [call] }, finish_reason: "tool_calls" },
      ],
      usage,
    });
  }
  const chunk = (delta: object, finish: string | null): object => ({
    ...common,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  const piece = (text: string): object => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] }, null);
  const begun = { ...call, index: 0, function: { name: "weather", arguments: "" } };
  return {
    headers: { "content-type": "text/event-stream" },
    parts: [
      chunk({ role: "assistant", content: null, tool_calls: [begun] }, null),
      piece('{"city":'),
      piece('"Paris"}'),
      chunk({}, "tool_calls"),
      { ...common, object: "chat.completion.chunk", choices: [], usage },
      "[DONE]",
    ].map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`),
  };
}

function anthropicTools(request: ProviderRequest) {
  if (hasToolResult(request)) {
    return goodAnswer(request, { text: "It is warm." });
  }
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: request.model,
    content: [{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Paris" } }],
    stop_reason: "tool_use",
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 5 },
  };
  if (!request.stream) {
    return json(message);
  }
  const block = { type: "tool_use", id: "toolu_1", name: "weather", input: {} };
  const delta = (text: string) => ({
    type: "content_block_delta",
    index: 0,
    delta: { type: "input_json_delta", partial_json: text },
  });
  return {
    headers: { "content-type": "text/event-stream" },
    parts: [
      { type: "message_start", message: { ...message, content: [], stop_reason: null } },
      { type: "content_block_start", index: 0, content_block: block },
      delta('{"city":'),
      delta('"Paris"}'),
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 5 } },
      { type: "message_stop" },
    ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
  };
}
