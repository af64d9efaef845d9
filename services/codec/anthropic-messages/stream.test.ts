import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, ProviderStreamError } from "../codec.ts";
import { createAnthropicMessagesCodec } from "./anthropic-messages-codec.ts";
import { finishEvent, startEvent, textDelta, toolCallDelta, toolCallStart, endEvent } from "../chat/chat-events.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { sse, streamFixtures } from "./stream-fixtures.ts";

const codec = createAnthropicMessagesCodec();
const options = { fallbackId: "msg_fallback", fallbackCreated: 1, includeUsage: true };

function decode(pieces: readonly Uint8Array[]): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]);
}

function observe(pieces: readonly Uint8Array[]): unknown {
  const observer = codec.createStreamObserver({ stripUsage: false });
  const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece))).toString();
  const { usage, finishReason, complete, contentSeen, pendingBytes } = observer;
  return { forwarded, usage, finishReason, complete, contentSeen, pendingBytes };
}

for (const { name, bytes, expected } of streamFixtures) {
  test(`decodes a stream with ${name}`, () => {
    const { usage, ...answer } = decode([bytes]);
    assert.deepEqual(answer, expected.answer);
    assert.equal(usage?.uncachedInputTokens, expected.inputTokens);
    assert.equal(usage?.outputTokens, expected.outputTokens);
  });

  test(`decodes and observes the same however the bytes are cut, with ${name}`, () => {
    const whole = decode([bytes]);
    const observed = observe([bytes]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)];
      assert.deepEqual(decode(pieces), whole, `cut at ${cut}`);
      assert.deepEqual(observe(pieces), observed, `cut at ${cut}`);
    }
  });

  test(`observes what it decodes and forwards every byte, with ${name}`, () => {
    const observer = codec.createStreamObserver({ stripUsage: true });
    assert.deepEqual(Buffer.from(observer.push(bytes)), bytes);
    assert.equal(observer.finishReason, expected.answer.finishReason);
    assert.equal(observer.usage?.outputTokens, expected.outputTokens);
    assert.equal(observer.usage?.uncachedInputTokens, expected.inputTokens);
    assert.equal(observer.complete, true);
    assert.equal(observer.contentSeen, true);
    assert.ok(observer.countedOutputTokens > 0);
  });

  test(`gives the same answer after encoding and decoding, with ${name}`, () => {
    const decoder = codec.createStreamDecoder();
    const encoded = codec.createStreamEncoder(options).encode([...decoder.push(bytes), ...decoder.end()]);
    assert.deepEqual(decode([encoded]), decode([bytes]));
  });

  test(`does not take a part of a stream for a whole one, with ${name}`, () => {
    // The last event ends with its blank line; without the second line feed it may still count as whole.
    for (let cut = 0; cut < bytes.length - 2; cut += 7) {
      const decoder = codec.createStreamDecoder();
      const observer = codec.createStreamObserver({ stripUsage: false });
      const events = [...decoder.push(bytes.subarray(0, cut)), ...decoder.end()];
      observer.push(bytes.subarray(0, cut));
      assert.ok(!events.some(({ event }) => event.case === "end"), `cut at ${cut}`);
      assert.equal(observer.complete, false, `cut at ${cut}`);
    }
  });
}

test("decodes and observes the same in many random pieces", () => {
  fc.assert(
    fc.property(fc.constantFrom(...streamFixtures), fc.array(fc.nat(4000), { maxLength: 40 }), ({ bytes }, places) => {
      const cuts = [
        0,
        ...places.filter((place) => place < bytes.length).toSorted((one, other) => one - other),
        bytes.length,
      ];
      const pieces = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut));
      assert.deepEqual(decode(pieces), decode([bytes]));
      assert.deepEqual(observe(pieces), observe([bytes]));
    }),
    { numRuns: 60 },
  );
});

test("throws the provider's error out of a stream", () => {
  const bytes = sse({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
  for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
    assert.throws(
      () => subject.push(bytes),
      (error) => error instanceof ProviderStreamError && codec.decodeError(error.body).type === "overloaded_error",
    );
  }
});

test("throws for bytes that are not of the dialect", () => {
  const table: readonly (readonly [string, Uint8Array])[] = [
    ["no JSON", Buffer.from("data: {oops\n\n")],
    ["no object", Buffer.from("data: 1\n\n")],
    [
      "a delta before the message",
      sse({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "a" } }),
    ],
    [
      "a delta of no block",
      sse(
        { type: "message_start", message: {} },
        { type: "content_block_delta", index: 3, delta: { type: "text_delta" } },
      ),
    ],
  ];
  for (const [name, bytes] of table) {
    assert.throws(() => codec.createStreamDecoder().push(bytes), CodecError, name);
  }
});

for (const [first, second] of [
  ['{"x":{}', "}"],
  ['{"x":', "{}}"],
  ["", '{"x":{}}'],
] as const) {
  test(`writes interleaved tool calls one after the other, the first beginning with "${first}"`, () => {
    const encoded = codec
      .createStreamEncoder(options)
      .encode([
        startEvent("msg_1", "m"),
        toolCallStart(0, 0, { id: "a", name: "one" }),
        toolCallDelta(0, 0, first),
        toolCallStart(0, 1, { id: "b", name: "two" }),
        toolCallDelta(0, 1, '{"y":2}'),
        toolCallDelta(0, 0, second),
        finishEvent(0, FinishReason.TOOL_CALLS, "tool_calls"),
        endEvent(undefined),
      ]);
    assert.deepEqual(decode([encoded]).toolCalls, [
      { id: "a", name: "one", arguments: { x: {} } },
      { id: "b", name: "two", arguments: { y: 2 } },
    ]);
    const borders = [
      ...Buffer.from(encoded)
        .toString()
        .matchAll(/"type":"content_block_(start|stop)","index":(\d)/g),
    ];
    assert.deepEqual(
      borders.map(([, kind, index]) => `${kind}${index}`),
      ["start0", "stop0", "start1", "stop1"],
    );
  });
}

test("does not take a stop without a reason for an end", () => {
  const bytes = sse({ type: "message_start", message: { id: "m" } }, { type: "message_stop" });
  assert.equal(decode([bytes]).ended, false);
  const observer = codec.createStreamObserver({ stripUsage: false });
  observer.push(bytes);
  assert.equal(observer.complete, false);
  assert.equal(observer.contentSeen, false);
  assert.equal(observer.countedOutputTokens, 0);
});

test("observes events, and not comments that look like them", () => {
  const observer = codec.createStreamObserver({ stripUsage: false });
  observer.push(Buffer.from(': {"type":"message_stop"} "error"\n\n'));
  assert.equal(observer.complete, false);
});

test("writes no end for a stream without a finish", () => {
  const encoded = codec
    .createStreamEncoder(options)
    .encode([startEvent("", "m"), textDelta(0, "hi"), endEvent(undefined)]);
  const text = Buffer.from(encoded).toString();
  assert.match(text, /"id":"msg_fallback"/);
  assert.doesNotMatch(text, /message_delta|message_stop/);
});

test("carries another provider's signatures of texts and calls to its clients and back", () => {
  const encoded = codec
    .createStreamEncoder(options)
    .encode([
      startEvent("msg_1", "m"),
      textDelta(0, "hello", "text-signature"),
      toolCallStart(0, 0, { id: "a", name: "one", signature: "call-signature" }),
      toolCallDelta(0, 0, "{}"),
      finishEvent(0, FinishReason.TOOL_CALLS, "STOP"),
      endEvent(undefined),
    ]);
  const decoder = codec.createStreamDecoder();
  const thoughts = decoder
    .push(encoded)
    .flatMap(({ event }) => (event.case === "reasoningDelta" ? [event.value.signature] : []));
  const { messages } = codec.decodeRequest({
    model: "m",
    max_tokens: 10,
    messages: [
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "hello" },
          { type: "thinking", thinking: "", signature: thoughts[0] ?? "" },
          { type: "thinking", thinking: "", signature: thoughts[1] ?? "" },
          { type: "tool_use", id: "a", name: "one", input: {} },
        ],
      },
    ],
  });
  const parts = messages[1]?.parts.map(
    ({ content }) => content.value && "signature" in content.value && content.value.signature,
  );
  assert.deepEqual(parts, ["text-signature", "call-signature"]);
});
