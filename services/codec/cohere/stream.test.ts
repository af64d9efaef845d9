import assert from "node:assert/strict";
import { test } from "node:test";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, finishEvent, startEvent, toolCallDelta, toolCallStart } from "../chat/chat-events.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { createCohereCodec } from "./cohere-codec.ts";

const codec = createCohereCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };
const DONE = Buffer.from("data: [DONE]\n\n");

type TypedEvent = JsonObject & { readonly type: string };

function sse(...events: readonly TypedEvent[]): Buffer {
  return Buffer.from(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
}

const start = { type: "message-start", id: "a-1", delta: { message: { role: "assistant", content: [] } } };

function content(index: number, piece: JsonObject): TypedEvent {
  return { type: "content-delta", index, delta: { message: { content: piece } } };
}

function call(type: string, index: number, toolCall: JsonObject): TypedEvent {
  return { type, index, delta: { message: { tool_calls: toolCall } } };
}

function end(finishReason: string, rest: JsonObject = {}): TypedEvent {
  const usage = {
    billed_units: { input_tokens: 10, output_tokens: 7 },
    tokens: { input_tokens: 505, output_tokens: 9, reasoning_tokens: 3 },
    cached_tokens: 448,
  };
  return { type: "message-end", delta: { finish_reason: finishReason, usage, ...rest } };
}

const texts = Buffer.concat([
  sse(
    start,
    { type: "content-start", index: 0, delta: { message: { content: { type: "thinking", thinking: "" } } } },
    content(0, { thinking: "Hm, 東京." }),
    { type: "content-end", index: 0 },
    content(1, { text: 'Grüße 😀 "type":"message-end" [DONE]' }),
    { type: "citation-start", index: 0, delta: { message: { citations: { start: 0, end: 2, text: "Gr" } } } },
    end("COMPLETE"),
  ),
  DONE,
]);

const calls = Buffer.concat([
  sse(
    start,
    { type: "tool-plan-delta", delta: { message: { tool_plan: "I will." } } },
    call("tool-call-start", 0, { id: "now_1", type: "function", function: { name: "now", arguments: "" } }),
    { type: "tool-call-end", index: 0 },
    call("tool-call-start", 1, { id: "now_2", type: "function", function: { name: "now", arguments: "nu" } }),
    call("tool-call-delta", 1, { function: { arguments: "ll" } }),
    { type: "tool-call-end", index: 1 },
    call("tool-call-start", 2, { id: "add_1", type: "function", function: { name: "add", arguments: "" } }),
    call("tool-call-delta", 2, { function: { arguments: '{"a":' } }),
    call("tool-call-delta", 2, { function: { arguments: "null}" } }),
    end("TOOL_CALL"),
  ),
  DONE,
]);

function decode(pieces: readonly Uint8Array[]): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]);
}

function observe(pieces: readonly Uint8Array[]): unknown {
  const observer = codec.createStreamObserver({ stripUsage: true });
  const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece))).toString();
  const { usage, finishReason, complete, contentSeen, pendingBytes, countedOutputTokens } = observer;
  return { forwarded, usage, finishReason, complete, contentSeen, pendingBytes, countedOutputTokens };
}

test("reads thoughts and texts, and counts what is paid for", () => {
  const { usage, ...answer } = decode([texts]);
  assert.deepEqual(answer, {
    text: 'Grüße 😀 "type":"message-end" [DONE]',
    reasoning: "Hm, 東京.",
    signatures: [],
    toolCalls: [],
    finishReason: FinishReason.STOP,
    nativeFinishReason: "COMPLETE",
    ended: true,
  });
  assert.equal(usage?.uncachedInputTokens, 10n);
  assert.equal(usage?.cacheReadTokens, 0n);
  assert.equal(usage?.outputTokens, 7n);
  assert.equal(usage?.reasoningTokens, 3n);
});

test("reads a plan as text, and calls without arguments as calls with none", () => {
  const answer = decode([calls]);
  assert.equal(answer.text, "I will.");
  assert.equal(answer.finishReason, FinishReason.TOOL_CALLS);
  assert.deepEqual(answer.toolCalls, [
    { id: "now_1", name: "now", arguments: {} },
    { id: "now_2", name: "now", arguments: {} },
    { id: "add_1", name: "add", arguments: { a: null } },
  ]);
});

for (const [name, bytes] of [
  ["texts", texts],
  ["calls", calls],
] as const) {
  test(`decodes and observes ${name} the same however the bytes are cut`, () => {
    const whole = decode([bytes]);
    const observed = observe([bytes]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
      assert.deepEqual(decode(pieces), whole, `cut at ${cut}`);
      assert.deepEqual(observe(pieces), observed, `cut at ${cut}`);
    }
  });

  test(`observes what it decodes and forwards every byte of ${name}`, () => {
    const { usage, finishReason } = decode([bytes]);
    const observer = codec.createStreamObserver({ stripUsage: true });
    assert.deepEqual(Buffer.from(observer.push(bytes)), bytes);
    assert.deepEqual(observer.usage, usage);
    assert.equal(observer.finishReason, finishReason);
    assert.equal(observer.complete, true);
    assert.equal(observer.contentSeen, true);
    assert.ok(observer.countedOutputTokens >= 2);
  });

  test(`does not take a part of ${name} for the whole`, () => {
    const last = bytes.indexOf("event: message-end");
    for (let cut = 0; cut <= last; cut += 5) {
      const decoder = codec.createStreamDecoder();
      const events = [...decoder.push(bytes.subarray(0, cut)), ...decoder.end()];
      assert.ok(!events.some(({ event }) => event.case === "end"), `cut at ${cut}`);
      const observer = codec.createStreamObserver({ stripUsage: false });
      observer.push(bytes.subarray(0, cut));
      assert.equal(observer.complete, false, `cut at ${cut}`);
      assert.equal(observer.finishReason, FinishReason.UNSPECIFIED, `cut at ${cut}`);
    }
  });

  test(`gives the same answer after encoding and decoding ${name}`, () => {
    const decoder = codec.createStreamDecoder();
    const encoded = codec.createStreamEncoder(options).encode([...decoder.push(bytes), ...decoder.end()]);
    assert.deepEqual(decode([encoded]), decode([bytes]));
  });
}

test("takes the end of the bytes for the end of an answer that has finished, without the final marker", () => {
  assert.equal(decode([texts.subarray(0, texts.length - DONE.length)]).ended, true);
});

test("does not take the final marker alone for the end of an answer", () => {
  const cut = Buffer.concat([sse(start, content(0, { text: "a" })), DONE]);
  const observer = codec.createStreamObserver({ stripUsage: false });
  observer.push(cut);
  assert.equal(observer.complete, false);
  assert.equal(decode([cut]).ended, false);
});

test("writes no end for an answer without a finish, and keeps parallel calls apart", () => {
  const encoder = codec.createStreamEncoder(options);
  const begun = encoder.encode([
    startEvent("", "m"),
    toolCallStart(0, 0, { id: "a", name: "f" }),
    toolCallStart(0, 1, { id: "b", name: "g" }),
    toolCallDelta(0, 1, '{"x":1}'),
    toolCallDelta(0, 0, '{"y":2}'),
  ]);
  assert.equal(decode([begun, codec.createStreamEncoder(options).encode([endEvent(undefined)])]).ended, false);
  const rest = encoder.encode([finishEvent(0, FinishReason.TOOL_CALLS, "tool_calls"), endEvent(undefined)]);
  const answer = decode([begun, rest]);
  assert.equal(answer.ended, true);
  assert.equal(answer.nativeFinishReason, "TOOL_CALL");
  assert.deepEqual(
    answer.toolCalls.map((each) => each.arguments),
    [{ y: 2 }, { x: 1 }],
  );
});

test("throws what failed out of a stream, with its reason", () => {
  const table: readonly (readonly [string, TypedEvent, string])[] = [
    ["an error in place of an event", { type: "", id: "e", message: "slow down" }, "slow down"],
    ["a failed end", end("ERROR", { error: "bad tool", error_type: "INVALID_TOOL_GENERATION" }), "bad tool"],
    ["a timeout", end("TIMEOUT"), "the provider ended the answer with TIMEOUT"],
  ];
  for (const [name, event, message] of table) {
    for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
      assert.throws(
        () => subject.push(sse(start, event)),
        (error) => error instanceof ProviderStreamError && codec.decodeError(error.body).message === message,
        name,
      );
    }
  }
});

test("throws for bytes that are not of the dialect", () => {
  const table: readonly (readonly [string, Uint8Array])[] = [
    ["no JSON", Buffer.from("data: {oops\n\n")],
    ["no object", Buffer.from("data: 1\n\n")],
    ["content before the message", sse(content(0, { text: "a" }))],
    ["arguments of no call", sse(start, call("tool-call-delta", 3, { function: { arguments: "{" } }))],
  ];
  for (const [name, bytes] of table) {
    assert.throws(() => codec.createStreamDecoder().push(bytes), CodecError, name);
  }
});
