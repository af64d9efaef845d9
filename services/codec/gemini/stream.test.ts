import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { CodecError, ProviderStreamError } from "../codec.ts";
import { createGeminiCodec } from "./gemini-codec.ts";
import { sse, streamFixtures } from "./stream-fixtures.ts";

const codec = createGeminiCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

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
    assert.equal(usage?.uncachedInputTokens, expected.uncachedInputTokens);
    assert.equal(usage?.outputTokens, expected.outputTokens);
  });

  test(`observes what it decodes and forwards every byte, with ${name}`, () => {
    const observer = codec.createStreamObserver({ stripUsage: true });
    assert.deepEqual(Buffer.from(observer.push(bytes)), bytes);
    assert.equal(observer.finishReason, expected.answer.finishReason);
    assert.equal(observer.usage?.outputTokens, expected.outputTokens);
    assert.equal(observer.complete, true);
    assert.ok(observer.countedOutputTokens > 0);
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

  test(`gives the same answer after encoding and decoding, with ${name}`, () => {
    const decoder = codec.createStreamDecoder();
    const encoder = codec.createStreamEncoder(options);
    const encoded = [...decoder.push(bytes), ...decoder.end()].map((event) => encoder.encode([event]));
    assert.deepEqual(decode(encoded), decode([bytes]));
    const text = Buffer.concat(encoded).toString();
    assert.ok(text.endsWith("}\r\n\r\n"));
    assert.ok(!text.includes("[DONE]"));
  });

  test(`does not take a stream without its finish for a whole one, with ${name}`, () => {
    const lastEvents = bytes.toString().split("\r\n\r\n");
    const finishAt = lastEvents.findIndex((event) => /finishReason":"|blockReason/.test(event));
    const before = Buffer.from(
      lastEvents
        .slice(0, finishAt)
        .map((event) => `${event}\r\n\r\n`)
        .join(""),
    );
    for (let cut = 0; cut <= before.length; cut += 5) {
      const decoder = codec.createStreamDecoder();
      const events = [...decoder.push(before.subarray(0, cut)), ...decoder.end()];
      assert.ok(!events.some(({ event }) => event.case === "end" || event.case === "finish"), `cut at ${cut}`);
    }
    const observer = codec.createStreamObserver({ stripUsage: false });
    observer.push(before);
    assert.equal(observer.complete, false);
  });
}

test("decodes and observes the same in many random pieces", () => {
  fc.assert(
    fc.property(fc.constantFrom(...streamFixtures), fc.array(fc.nat(2500), { maxLength: 40 }), ({ bytes }, places) => {
      const inside = places.filter((place) => place < bytes.length).toSorted((one, other) => one - other);
      const cuts = [0, ...inside, bytes.length];
      const pieces = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut));
      assert.deepEqual(decode(pieces), decode([bytes]));
      assert.deepEqual(observe(pieces), observe([bytes]));
    }),
    { numRuns: 60 },
  );
});

test("keeps the last usage that counts something", () => {
  const text = { candidates: [{ content: { parts: [{ text: "a" }] } }] };
  const observer = codec.createStreamObserver({ stripUsage: false });
  observer.push(sse({ ...text, usageMetadata: { promptTokenCount: 3 } }, text));
  observer.push(sse({ ...text, usageMetadata: { promptTokenCount: 4 } }));
  observer.push(sse({ ...text, usageMetadata: { trafficType: "ON_DEMAND" } }));
  assert.equal(observer.usage?.uncachedInputTokens, 4n);
  assert.equal(observer.usage?.uncachedInputTokens, 4n);
});

test("does not end while one of several candidates or a call is unfinished", () => {
  const one = { content: { parts: [{ text: "a" }] }, finishReason: "STOP", index: 0 };
  const other = { content: { parts: [{ text: "b" }] }, index: 1 };
  const call = { content: { parts: [{ functionCall: { name: "x", willContinue: true } }] }, finishReason: "STOP" };
  assert.equal(decode([sse({ candidates: [one, other] })]).ended, false);
  const decoder = codec.createStreamDecoder();
  const events = [...decoder.push(sse({ candidates: [call] })), ...decoder.end()];
  assert.ok(!events.some(({ event }) => event.case === "end"));
});

test("throws the provider's error out of a stream, alone or in an array", () => {
  const error = { error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } };
  for (const body of [error, [error]]) {
    for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
      assert.throws(
        () => subject.push(sse({ candidates: [{ content: { parts: [{ text: "a" }] } }] }, body)),
        (thrown) => thrown instanceof ProviderStreamError && codec.decodeError(thrown.body).type === "UNAVAILABLE",
      );
    }
  }
});

test("throws for bytes that are not of the dialect", () => {
  const strayPiece = { candidates: [{ content: { parts: [{ functionCall: { willContinue: true } }] } }] };
  const badPath = (jsonPath: string): Buffer =>
    sse({
      candidates: [
        { content: { parts: [{ functionCall: { name: "x", partialArgs: [{ jsonPath, numberValue: 1 }] } }] } },
      ],
    });
  for (const bytes of [
    Buffer.from("data: {oops\r\n\r\n"),
    sse(1),
    sse(strayPiece),
    badPath("$"),
    badPath("$.a[7]"),
    badPath("$[0]"),
  ]) {
    assert.throws(() => codec.createStreamDecoder().push(bytes), CodecError);
  }
});

test("takes a dangerous key of the arguments for data", () => {
  const piece = { jsonPath: "$.__proto__.polluted", stringValue: "yes" };
  const { toolCalls } = decode([
    sse({
      candidates: [
        { content: { parts: [{ functionCall: { name: "x", partialArgs: [piece] } }] }, finishReason: "STOP" },
      ],
    }),
  ]);
  assert.equal(JSON.stringify(toolCalls[0]?.arguments), '{"__proto__":{"polluted":"yes"}}');
  assert.equal("polluted" in {}, false);
});

test("leaves out a call that the output limit cut, and refuses any other broken one", () => {
  const events = (
    finishReason: FinishReason,
  ): Parameters<ReturnType<typeof codec.createStreamEncoder>["encode"]>[0] => [
    startEvent("", "m"),
    textDelta(0, "a"),
    toolCallStart(0, 0, { id: "t", name: "x" }),
    toolCallDelta(0, 0, '{"a":'),
    finishEvent(0, finishReason, "length"),
    endEvent(undefined),
  ];
  const bytes = codec.createStreamEncoder(options).encode(events(FinishReason.LENGTH));
  assert.deepEqual(decode([bytes]).toolCalls, []);
  assert.equal(decode([bytes]).finishReason, FinishReason.LENGTH);
  assert.throws(() => codec.createStreamEncoder(options).encode(events(FinishReason.TOOL_CALLS)), CodecError);
});

test("sends the signature of another provider's thought after its text", () => {
  const bytes = codec
    .createStreamEncoder(options)
    .encode([startEvent("", "m"), reasoningDelta(0, "Better look."), reasoningDelta(0, "", "sig")]);
  const parts = [...bytes.toString().matchAll(/"parts":(\[.*?\])/g)].map((match) => JSON.parse(match[1] ?? ""));
  assert.deepEqual(parts, [
    [{ text: "Better look.", thought: true }],
    [{ text: "", thought: true, thoughtSignature: "sig" }],
  ]);
});
