import assert from "node:assert/strict";
import { test } from "node:test";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { createOpenAiChatCodec } from "./openai-chat-codec.ts";

const codec = createOpenAiChatCodec();
const options = { fallbackId: "chatcmpl-x", fallbackCreated: 5, includeUsage: true };

/** An answer with all that the dialect and its extensions have. */
const full: JsonObject = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1700000000,
  model: "m-1",
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        content: "a",
        refusal: null,
        reasoning_content: "hm",
        reasoning_details: [{ type: "reasoning.text", text: "hm", signature: "s==", index: 0 }],
        extra_content: { google: { thought_signature: "t==" } },
        tool_calls: [
          {
            id: "c1",
            type: "function",
            function: { name: "f", arguments: "{}" },
            extra_content: { google: { thought_signature: "u==" } },
          },
        ],
      },
      logprobs: { content: [{ token: "a", logprob: -0.1 }] },
      finish_reason: "tool_calls",
    },
    {
      index: 1,
      message: { role: "assistant", content: null, refusal: "no" },
      logprobs: null,
      finish_reason: "content_filter",
    },
  ],
  usage: {
    prompt_tokens: 10,
    completion_tokens: 4,
    total_tokens: 14,
    prompt_tokens_details: { cached_tokens: 3, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 1,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  },
};

test("writes an answer back as it was read", () => {
  assert.deepEqual(codec.encodeResponse(codec.decodeResponse(full), options), full);
});

test("gives an answer without identity the fallbacks", () => {
  const answer = codec.encodeResponse(codec.decodeResponse({ choices: [] }), options);
  assert.equal(answer["id"], "chatcmpl-x");
  assert.equal(answer["created"], 5);
  assert.equal(answer["usage"], undefined);
});

test("says that tools are to be run when a call was made and the provider says stop", () => {
  const message = { content: null, tool_calls: [{ function: { name: "f", arguments: "" } }] };
  const [candidate] = codec.decodeResponse({ id: "r-1", choices: [{ message, finish_reason: "stop" }] }).candidates;
  assert.equal(candidate?.finishReason, FinishReason.TOOL_CALLS);
  assert.equal(candidate?.nativeFinishReason, "stop");
  const part = candidate?.message?.parts[0]?.content;
  assert.ok(part?.case === "toolCall");
  assert.equal(part.value.argumentsJson, "{}");
  assert.equal(part.value.id, "call_r1_0");
});

test("reads the facts of an answer that is forwarded", () => {
  const facts = codec.readResponse(full);
  assert.equal(facts.finishReason, FinishReason.TOOL_CALLS);
  assert.equal(facts.usage?.cacheReadTokens, 3n);
});

test("throws for an error with status 200, and for what is no answer", () => {
  const reads = [(body: JsonObject) => codec.decodeResponse(body), (body: JsonObject) => codec.readResponse(body)];
  for (const read of reads) {
    assert.throws(() => read({ error: { message: "no" } }), ProviderStreamError);
    assert.throws(() => read({ object: "error", message: "no" }), ProviderStreamError);
    assert.throws(() => read({ hello: 1 }), CodecError);
    assert.doesNotThrow(() => read({ error: null, choices: [] }));
  }
});

test("never throws anything else for an answer of any shape", () => {
  const shapes = [null, 1, "x", [], {}, [null], [{}], { a: 1 }];
  for (const shape of shapes) {
    for (const field of [
      "content",
      "tool_calls",
      "reasoning_details",
      "refusal",
      "images",
      "extra_content",
      "function_call",
    ]) {
      const decoded = codec.decodeResponse({ choices: [{ message: { [field]: shape }, finish_reason: "stop" }] });
      codec.encodeResponse(decoded, options);
    }
    codec.decodeResponse({ choices: [shape], usage: shape, id: shape, created: shape });
  }
});

test("writes streams with the role first, usage and the final marker last", () => {
  const decoder = codec.createStreamDecoder();
  const chunk = (delta: object, finish: string | null = null): string =>
    `data: ${JSON.stringify({ id: "i", created: 9, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n';
  const events = decoder.push(Buffer.from(`${chunk({ content: "é" }) + chunk({}, "stop") + usage}data: [DONE]\n\n`));
  const write = (includeUsage: boolean): string[] =>
    Buffer.from(codec.createStreamEncoder({ ...options, includeUsage }).encode(events))
      .toString("utf8")
      .split("\n\n")
      .map((line) => line.replace("data: ", ""));
  const head = '{"id":"i","object":"chat.completion.chunk","created":9,"model":"m",';
  assert.deepEqual(write(false), [
    `${head}"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
    `${head}"choices":[{"index":0,"delta":{"content":"é"},"logprobs":null,"finish_reason":null}]}`,
    `${head}"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
    "[DONE]",
    "",
  ]);
  const withUsage = write(true)
    .slice(0, -2)
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    withUsage.slice(0, 3).map((line) => line.usage),
    [null, null, null],
  );
  assert.deepEqual(withUsage[3].choices, []);
  assert.equal(withUsage[3].usage.total_tokens, 3);
});

test("writes a stream that was cut without the final marker", () => {
  const decoder = codec.createStreamDecoder();
  const events = [
    ...decoder.push(Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')),
    ...decoder.end(),
  ];
  const text = Buffer.from(codec.createStreamEncoder(options).encode(events)).toString("utf8");
  assert.match(text, /"content":"a"/);
  assert.doesNotMatch(text, /\[DONE\]|"finish_reason":"/);
});

test("carries signatures through a stream and back", () => {
  const deltas = [
    { reasoning: "Let " },
    { reasoning: "me" },
    { reasoning_details: [{ type: "reasoning.text", signature: "s==" }] },
    { reasoning_details: [{ type: "reasoning.encrypted", data: "e==" }] },
    { reasoning: "More" },
    { reasoning_details: [{ type: "reasoning.text", signature: "s2==" }] },
    { content: "a", extra_content: { google: { thought_signature: "t==" } } },
    {
      tool_calls: [
        {
          index: 0,
          id: "c",
          function: { name: "f", arguments: "{}" },
          extra_content: { google: { thought_signature: "u==" } },
        },
      ],
    },
  ];
  const text = deltas.map((delta) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`).join("");
  const events = codec.createStreamDecoder().push(Buffer.from(text));
  const written = codec.createStreamEncoder(options).encode(events);
  assert.deepEqual(codec.createStreamDecoder().push(written).slice(1), events.slice(1));
  const details = Buffer.from(written)
    .toString("utf8")
    .match(/"reasoning_details":\[[^\]]*\]/g);
  assert.deepEqual(details, [
    '"reasoning_details":[{"type":"reasoning.text","text":"Let me","signature":"s==","index":0}]',
    '"reasoning_details":[{"type":"reasoning.encrypted","data":"e==","index":1}]',
    '"reasoning_details":[{"type":"reasoning.text","text":"More","signature":"s2==","index":2}]',
  ]);
});
