import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChatEvent, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { createOpenAiCompletionsCodec } from "./openai-completions-codec.ts";
import { countPrompts, validateCompletionsRequest } from "./validate-request.ts";

const codec = createOpenAiCompletionsCodec();
const options = { fallbackId: "cmpl-1", fallbackCreated: 7, includeUsage: true };
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const chunk = (choices: readonly object[], more: object = {}): string =>
  `data: ${JSON.stringify({ id: "cmpl-9", object: "text_completion", created: 5, model: "m", choices, ...more })}\n\n`;
const choice = (text: string, finish: string | null = null, index = 0): JsonObject => ({
  text,
  index,
  logprobs: null,
  finish_reason: finish,
});
const stream = `${chunk([choice("Hä")])}${chunk([choice(" llo")])}${chunk([choice("", "stop")])}${chunk([], { usage })}data: [DONE]\n\n`;

function refusal(body: JsonObject): { readonly code: string; readonly param: string | undefined } | undefined {
  try {
    codec.decodeRequest({ model: "m", ...body });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof CodecError, String(error));
    return { code: error.code, param: error.param };
  }
}

test("makes one text what a user says, with what it asks for", () => {
  for (const prompt of ["Once", ["Once"]]) {
    const request = codec.decodeRequest({
      model: "m",
      prompt,
      max_tokens: 9,
      n: 2,
      best_of: 2,
      stop: "\n",
      temperature: 0.5,
      top_p: 0.9,
      seed: 3,
      presence_penalty: 1,
      frequency_penalty: -1,
      user: "u",
      echo: false,
      suffix: "",
      logprobs: null,
      logit_bias: { "5": 1 },
    });
    const [message] = request.messages;
    assert.equal(message?.role, Role.USER);
    assert.equal(message.parts[0]?.content.case === "text" && message.parts[0].content.value.text, "Once");
    assert.equal(request.maxOutputTokens, 9n);
    assert.equal(request.candidateCount, 2);
    assert.deepEqual(request.stopSequences, ["\n"]);
    assert.deepEqual([request.temperature, request.topP, request.seed], [0.5, 0.9, 3n]);
    assert.deepEqual(request.logitBias, { "5": 1 });
    const written = codec.encodeRequest(request, { model: "up", stream: true, defaultMaxOutputTokens: 1 }).body;
    assert.equal(written["prompt"], "Once");
    assert.equal(written["max_tokens"], 9);
  }
});

test("refuses for other providers what only a model that continues texts can do", () => {
  const unsupported: readonly JsonObject[] = [
    { prompt: ["a", "b"] },
    { prompt: [1, 2] },
    { prompt: [[1, 2]] },
    { prompt: "a", suffix: "b" },
    { prompt: "a", echo: true },
    { prompt: "a", logprobs: 0 },
    { prompt: "a", best_of: 3 },
    { prompt: "a", max_tokens: 0 },
  ];
  for (const body of unsupported) {
    assert.equal(refusal(body)?.code, "unsupported_feature", JSON.stringify(body));
  }
});

test("refuses what OpenAI refuses, in its words", () => {
  const cases: readonly (readonly [JsonObject, string, string])[] = [
    [{}, "missing_required_parameter", "prompt"],
    [{ prompt: 5 }, "invalid_type", "prompt"],
    [{ prompt: [] }, "empty_array", "prompt"],
    [{ prompt: ["a", 1] }, "invalid_type", "prompt[1]"],
    [{ prompt: ["a", ["b"]] }, "invalid_type", "prompt[1]"],
    [{ prompt: [["b"]] }, "invalid_type", "prompt[0]"],
    [{ prompt: [[]] }, "invalid_type", "prompt[0]"],
    [{ prompt: "a", echo: 1 }, "invalid_type", "echo"],
    [{ prompt: "a", suffix: 1 }, "invalid_type", "suffix"],
    [{ prompt: "a", n: 0 }, "integer_below_min_value", "n"],
    [{ prompt: "a", stream_options: {} }, "invalid_value", "stream_options"],
    [{ prompt: "a", api_base: "http://x" }, "unknown_parameter", "api_base"],
  ];
  for (const [body, code, param] of cases) {
    assert.deepEqual(refusal(body), { code, param }, JSON.stringify(body));
  }
  assert.throws(
    () => validateCompletionsRequest({ prompt: "", max_tokens: -1, temperature: 3 }),
    /Invalid 'max_tokens': integer below minimum value\. Expected a value >= 0, but got -1 instead\./,
  );
});

test("counts the texts of a prompt", () => {
  assert.deepEqual(["a", ["a"], ["a", "b"], [1, 2, 3], [[1], [2], [3]]].map(countPrompts), [1, 1, 2, 1, 3]);
});

test("reads a complete answer and writes it again", () => {
  const body = {
    id: "cmpl-9",
    object: "text_completion",
    created: 5,
    model: "m",
    choices: [choice("a", "length"), choice("b", "stop", 1)],
    usage,
  };
  const response = codec.decodeResponse(body);
  assert.equal(response.candidates[0]?.finishReason, FinishReason.LENGTH);
  assert.equal(response.usage?.outputTokens, 2n);
  const written = codec.encodeResponse(response, options);
  assert.deepEqual({ ...written, usage: undefined }, { ...body, usage: undefined });
  assert.equal(codec.readResponse(body).finishReason, FinishReason.LENGTH);
  assert.throws(() => codec.decodeResponse({ error: { message: "no" } }), ProviderStreamError);
  assert.throws(() => codec.decodeResponse({}), CodecError);
});

test("reads a stream however it is cut, and writes what says the same", () => {
  const bytes = Buffer.from(stream);
  for (let at = 0; at <= bytes.length; at += 1) {
    const decoder = codec.createStreamDecoder();
    const events: ChatEvent[] = [
      ...decoder.push(bytes.subarray(0, at)),
      ...decoder.push(bytes.subarray(at)),
      ...decoder.end(),
    ];
    assert.deepEqual(
      events.map(({ event }) => event.case),
      ["start", "textDelta", "textDelta", "finish", "end"],
    );
    if (at === 0) {
      const text = Buffer.from(codec.createStreamEncoder(options).encode(events)).toString();
      const again = codec.createStreamDecoder();
      assert.deepEqual([...again.push(Buffer.from(text)), ...again.end()], events);
      assert.match(text, /"choices":\[\],"usage":\{"prompt_tokens":3,.*\}\n\ndata: \[DONE\]\n\n$/);
      assert.doesNotMatch(
        Buffer.from(codec.createStreamEncoder({ ...options, includeUsage: false }).encode(events)).toString(),
        /usage/,
      );
    }
  }
});

test("does not end a stream that was cut", () => {
  const decoder = codec.createStreamDecoder();
  const cut = `${chunk([choice("a"), choice("b", null, 1)])}${chunk([choice("", "stop")])}`;
  const events = [...decoder.push(Buffer.from(cut)), ...decoder.end()];
  assert.ok(!events.some(({ event }) => event.case === "end"));
});

test("observes a stream that is forwarded: content, finish, usage, and takes out the usage nobody asked for", () => {
  const observer = codec.createStreamObserver({ stripUsage: true });
  assert.equal(Buffer.from(observer.push(Buffer.from(chunk([choice("")])))).toString(), chunk([choice("")]));
  assert.equal(observer.contentSeen, false);
  const forwarded = Buffer.from(observer.push(Buffer.from(stream))).toString();
  assert.equal(forwarded, stream.replace(chunk([], { usage }), ""));
  assert.equal(observer.contentSeen, true);
  assert.equal(observer.complete, true);
  assert.equal(observer.finishReason, FinishReason.STOP);
  assert.equal(observer.usage?.outputTokens, 2n);
  assert.ok(observer.countedOutputTokens > 0);
});
