import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ChatRequestSchema, ResponseFormat_Kind, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, startEvent } from "../chat/chat-events.ts";
import {
  filePart,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import { CodecError, type EncodedRequest, type JsonObject, ProviderStreamError } from "../codec.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { createOllamaCodec, createOllamaEmbedCodec } from "./ollama-codec.ts";

const codec = createOllamaCodec();
const embed = createOllamaEmbedCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };
const hello = message(Role.USER, [textPart("Hello")]);

function encode(request: MessageInitShape<typeof ChatRequestSchema>, model = "qwen3:4b"): EncodedRequest {
  return codec.encodeRequest(create(ChatRequestSchema, { messages: [hello], ...request }), {
    model,
    stream: false,
    defaultMaxOutputTokens: 4096,
  });
}

function line(piece: JsonObject, rest: JsonObject = { done: false }): string {
  const head = { model: "qwen3:4b", created_at: "2026-08-04T19:59:21.358882Z" };
  return `${JSON.stringify({ ...head, message: { role: "assistant", content: "", ...piece }, ...rest })}\n`;
}

const done = { done: true, done_reason: "stop", prompt_eval_count: 9, eval_count: 4 };
const answer = Buffer.from(
  line({ thinking: "Hm, 東京." }) +
    line({ content: "Grüße " }) +
    line({ content: "😀", tool_calls: [{ function: { name: "now", arguments: {} } }] }) +
    line({ tool_calls: [{ id: "call_x", function: { name: "add", arguments: { a: [1, 2] }, index: 1 } }] }) +
    line({}, done),
);

function decode(pieces: readonly Uint8Array[]): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]);
}

test("reads thoughts, texts and calls, makes ids for those without, and sees a stop with calls as one for them", () => {
  const { usage, ...rest } = decode([answer]);
  assert.deepEqual(rest, {
    text: "Grüße 😀",
    reasoning: "Hm, 東京.",
    signatures: [],
    toolCalls: [
      { id: "ocall_20260804195921358882_0", name: "now", arguments: {} },
      { id: "call_x", name: "add", arguments: { a: [1, 2] } },
    ],
    finishReason: FinishReason.TOOL_CALLS,
    nativeFinishReason: "stop",
    ended: true,
  });
  assert.equal(usage?.uncachedInputTokens, 9n);
  assert.equal(usage?.outputTokens, 4n);
});

test("decodes and observes the same however the bytes are cut, and takes no part for the whole", () => {
  const whole = decode([answer]);
  for (let cut = 0; cut <= answer.length; cut++) {
    const pieces = [answer.subarray(0, cut), answer.subarray(cut)];
    assert.deepEqual(decode(pieces), whole, `cut at ${cut}`);
    const observer = codec.createStreamObserver({ stripUsage: true });
    const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece)));
    assert.deepEqual(forwarded, answer);
    assert.equal(observer.complete, true);
    assert.deepEqual(observer.usage, whole.usage);
    // Without its line feed the last line is whole all the same.
    assert.equal(decode(pieces.slice(0, 1)).ended, cut >= answer.length - 1, `cut at ${cut}`);
  }
});

test("gives the same answer after encoding and decoding, and writes no end without a finish", () => {
  const decoder = codec.createStreamDecoder();
  const encoded = codec.createStreamEncoder(options).encode([...decoder.push(answer), ...decoder.end()]);
  assert.deepEqual(decode([encoded]), decode([answer]));
  assert.equal(
    decode([codec.createStreamEncoder(options).encode([startEvent("", "m"), endEvent(undefined)])]).ended,
    false,
  );
});

test("throws errors out of a stream, and for lines that are none of its dialect", () => {
  const failed = Buffer.from(`${line({ content: "a" })}{"error":"an error was encountered while running the model"}\n`);
  for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
    assert.throws(
      () => subject.push(failed),
      (error) =>
        error instanceof ProviderStreamError &&
        codec.decodeError(error.body).message.startsWith("an error was encountered"),
    );
  }
  for (const text of ["<html>\n", "[]\n", '{"choices":[]}\n', "data: {}\n"]) {
    assert.throws(() => codec.createStreamDecoder().push(Buffer.from(text)), CodecError, text);
  }
  assert.throws(() => codec.decodeResponse({ error: "no" }), ProviderStreamError);
  assert.throws(() => codec.decodeResponse({ message: {}, done: false }), { code: "invalid_response" });
  assert.throws(() => codec.readResponse({ choices: [] }), { code: "invalid_response" });
});

test("puts each result in a message of its own with the tool's name, and pictures of results behind them", () => {
  const picture = imagePart({ case: "data", value: Buffer.from("png") }, "image/png");
  const { body } = encode({
    messages: [
      message(Role.DEVELOPER, [textPart("Be kind.")]),
      message(Role.USER, [textPart("Look:"), picture]),
      message(Role.ASSISTANT, [
        reasoningPart({ text: "Hm." }),
        toolCallPart({ id: "ocall_1_0", name: "one", argumentsJson: "" }),
        toolCallPart({ id: "call_2", name: "two", argumentsJson: '{"a":1}' }),
      ]),
      message(Role.TOOL, [
        toolResultPart({ toolCallId: "ocall_1_0", parts: [textPart("1"), picture] }),
        toolResultPart({ toolCallId: "call_2", parts: [textPart("2")] }),
      ]),
    ],
  });
  const image = Buffer.from("png").toString("base64");
  assert.deepEqual(body["messages"], [
    { role: "system", content: "Be kind." },
    { role: "user", content: "Look:", images: [image] },
    {
      role: "assistant",
      content: "",
      thinking: "Hm.",
      tool_calls: [
        { type: "function", function: { name: "one", arguments: {} } },
        { id: "call_2", type: "function", function: { name: "two", arguments: { a: 1 } } },
      ],
    },
    { role: "tool", content: "1", tool_name: "one" },
    { role: "tool", content: "2", tool_name: "two", tool_call_id: "call_2" },
    { role: "user", content: "", images: [image] },
  ]);
});

test("matches results without ids to calls by name and order", () => {
  const called = (name: string) => ({ function: { name, arguments: {} } });
  const { messages } = codec.decodeRequest({
    model: "m",
    messages: [
      { role: "assistant", tool_calls: [called("a"), called("b"), called("a")] },
      { role: "tool", tool_name: "a", content: "1" },
      { role: "tool", tool_name: "a", content: "2" },
      { role: "tool", tool_name: "b", content: "3" },
    ],
  });
  const ids = messages
    .flatMap(({ parts }) => parts)
    .map(({ content }) =>
      content.case === "toolCall" ? content.value.id : content.case === "toolResult" ? content.value.toolCallId : "",
    );
  assert.deepEqual(ids, ["ocall_at_0", "ocall_at_1", "ocall_at_2", "ocall_at_0", "ocall_at_2", "ocall_at_1"]);
});

test("writes sampling, form and thinking as Ollama spells them, and drops by name what it has no place for", () => {
  const { body, dropped } = encode({
    maxOutputTokens: 7n,
    temperature: 0.5,
    topP: 0.9,
    topK: 40n,
    seed: 42n,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    stopSequences: ["END"],
    responseFormat: { kind: ResponseFormat_Kind.JSON_SCHEMA, name: "a", schemaJson: '{"type":"object"}' },
    reasoning: { effort: "high" },
    tools: [{ name: "f" }, { name: "g" }],
    toolChoice: { mode: ToolChoice_Mode.NAMED, toolName: "g" },
    endUserId: "u",
    logprobs: true,
  });
  assert.deepEqual(body["options"], {
    num_predict: 7,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    seed: 42,
    presence_penalty: 0.1,
    frequency_penalty: 0.2,
    stop: ["END"],
  });
  assert.deepEqual(body["format"], { type: "object" });
  assert.equal(body["think"], true);
  assert.equal(body["stream"], false);
  assert.equal(JSON.stringify(body["tools"]).includes('"f"'), false);
  assert.deepEqual(dropped, ["logprobs", "tool_choice", "user"]);
  assert.equal(encode({ reasoning: { effort: "none" } }).body["think"], false);
  assert.equal(encode({ reasoning: { effort: "minimal" } }, "gpt-oss:20b").body["think"], "low");
  assert.equal(encode({ responseFormat: { kind: ResponseFormat_Kind.JSON_OBJECT } }).body["format"], "json");
  assert.equal(encode({ tools: [{ name: "f" }], toolChoice: { mode: ToolChoice_Mode.NONE } }).body["tools"], undefined);
});

test("refuses what would change the meaning, and requests that Ollama would refuse", () => {
  for (const request of [
    { candidateCount: 2 },
    { messages: [message(Role.USER, [imagePart({ case: "url", value: "https://example.com/a.png" }, "")])] },
    { messages: [message(Role.USER, [filePart({ case: "data", value: Buffer.of(0) }, "application/pdf")])] },
  ]) {
    assert.throws(() => encode(request), { code: "unsupported_feature" });
  }
  const said = [{ role: "user", content: "x" }];
  for (const [body, param] of [
    [{ messages: said }, "model"],
    [{ model: "m", messages: [] }, "messages"],
    [{ model: "m", messages: [{ role: "robot" }] }, "messages[0].role"],
    [{ model: "m", messages: said, format: 1 }, "format"],
    [{ model: "m", messages: said, think: [] }, "think"],
  ] as const) {
    assert.throws(() => codec.decodeRequest(body), { name: "CodecError", param });
  }
});

test("asks for vectors and reads them", () => {
  const request = embed.decodeRequest({ model: "m", input: ["a", "b"], dimensions: 2 });
  assert.deepEqual(embed.encodeRequest(request, { model: "n" }), {
    body: { model: "n", input: ["a", "b"], dimensions: 2 },
    dropped: [],
  });
  const body = {
    model: "n",
    embeddings: [
      [0.5, 1],
      [2, 4],
    ],
    prompt_eval_count: 5,
  };
  const decoded = embed.decodeResponse(body);
  assert.equal(decoded.usage?.uncachedInputTokens, 5n);
  assert.deepEqual(embed.encodeResponse(decoded), body);
  assert.deepEqual(embed.decodeRequest({ model: "m", input: "a" }).inputs, ["a"]);
  assert.throws(() => embed.decodeRequest({ model: "m", input: [] }), { param: "input" });
  assert.throws(() => embed.decodeResponse({ error: "no" }), ProviderStreamError);
  assert.throws(() => embed.decodeResponse({}), { code: "invalid_response" });
});
