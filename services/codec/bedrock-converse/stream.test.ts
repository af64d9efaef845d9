import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, finishEvent, startEvent, toolCallDelta, toolCallStart } from "../chat/chat-events.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { createBedrockConverseCodec } from "./bedrock-converse-codec.ts";
import { createBedrockInvokeCodec } from "./bedrock-invoke-codec.ts";

const codec = createBedrockConverseCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };
const marshaller = new EventStreamCodec(
  (bytes) => new TextDecoder().decode(bytes),
  (text) => new TextEncoder().encode(text),
);

function frame(headers: Readonly<Record<string, string>>, payload: JsonObject): Buffer {
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: "string" as const, value }]);
  return Buffer.from(
    marshaller.encode({ headers: Object.fromEntries(typed), body: Buffer.from(JSON.stringify(payload)) }),
  );
}

function event(type: string, payload: JsonObject): Buffer {
  return frame({ ":event-type": type, ":content-type": "application/json", ":message-type": "event" }, payload);
}

const start = event("messageStart", { role: "assistant", p: "abc" });
const usage = {
  inputTokens: 10,
  outputTokens: 7,
  totalTokens: 150,
  cacheReadInputTokens: 100,
  cacheWriteInputTokens: 33,
  cacheDetails: [{ ttl: "1h", inputTokens: 20 }],
};
const metadata = event("metadata", { usage, metrics: { latencyMs: 12 }, trace: { guardrail: {} } });

function delta(contentBlockIndex: number, piece: JsonObject): Buffer {
  return event("contentBlockDelta", { contentBlockIndex, delta: piece, p: "abcdef" });
}

const redacted = Buffer.from("EroBsecret==").toString("base64");
const texts = Buffer.concat([
  start,
  delta(0, { reasoningContent: { text: "Hm, 東京." } }),
  delta(0, { reasoningContent: { signature: "c2ln" } }),
  event("contentBlockStop", { contentBlockIndex: 0 }),
  delta(1, { reasoningContent: { redactedContent: redacted } }),
  delta(2, { text: "Grüße " }),
  delta(2, { text: "😀" }),
  delta(2, { citation: { title: "a", sourceContent: [{ text: "b" }] } }),
  event("contentBlockStop", { contentBlockIndex: 2 }),
  event("messageStop", { stopReason: "stop_sequence", additionalModelResponseFields: { stop_sequence: "END" } }),
  metadata,
]);

const toolUse = (name: string, toolUseId: string): JsonObject => ({ toolUse: { name, toolUseId } });
const calls = Buffer.concat([
  start,
  event("contentBlockStart", {
    contentBlockIndex: 0,
    start: { toolUse: { name: "nova_grounding", toolUseId: "s", type: "server_tool_use" } },
  }),
  delta(0, { toolUse: { input: '{"q":1}' } }),
  event("contentBlockStop", { contentBlockIndex: 0 }),
  delta(1, { toolResult: [{ text: "found" }] }),
  delta(2, { text: "I will." }),
  event("contentBlockStart", { contentBlockIndex: 3, start: toolUse("now", "t-1") }),
  event("contentBlockStop", { contentBlockIndex: 3 }),
  event("contentBlockStart", { contentBlockIndex: 4, start: toolUse("add", "t-2") }),
  delta(4, { toolUse: { input: '{"a":' } }),
  delta(4, { toolUse: { input: "" } }),
  delta(4, { toolUse: { input: "[1,2]}" } }),
  event("contentBlockStop", { contentBlockIndex: 4 }),
  event("messageStop", { stopReason: "tool_use" }),
  metadata,
]);

function decode(pieces: readonly Uint8Array[]): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]);
}

/** Whether an answer comes to its end; arguments may be cut in the middle. */
function isWhole(bytes: Uint8Array): boolean {
  const decoder = codec.createStreamDecoder();
  return [...decoder.push(bytes), ...decoder.end()].some((each) => each.event.case === "end");
}

function observe(pieces: readonly Uint8Array[]): unknown {
  const observer = codec.createStreamObserver({ stripUsage: true });
  const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece))).toString("latin1");
  const { finishReason, complete, contentSeen, pendingBytes, countedOutputTokens } = observer;
  return { forwarded, usage: observer.usage, finishReason, complete, contentSeen, pendingBytes, countedOutputTokens };
}

test("reads thoughts, their signatures, texts and usage in classes that do not overlap", () => {
  const { usage: counted, ...answer } = decode([texts]);
  assert.deepEqual(answer, {
    text: "Grüße 😀",
    reasoning: "Hm, 東京.",
    signatures: ["reasoning: c2ln", "redacted: EroBsecret=="],
    toolCalls: [],
    finishReason: FinishReason.STOP,
    nativeFinishReason: "stop_sequence",
    ended: true,
  });
  assert.equal(counted?.uncachedInputTokens, 10n);
  assert.equal(counted?.cacheReadTokens, 100n);
  assert.equal(counted?.cacheWriteTokens, 33n);
  assert.equal(counted?.cacheWrite1hTokens, 20n);
  assert.equal(counted?.outputTokens, 7n);
});

test("reads calls by their own count, without those that Bedrock runs itself", () => {
  const answer = decode([calls]);
  assert.equal(answer.text, "I will.");
  assert.equal(answer.finishReason, FinishReason.TOOL_CALLS);
  assert.deepEqual(answer.toolCalls, [
    { id: "t-1", name: "now", arguments: {} },
    { id: "t-2", name: "add", arguments: { a: [1, 2] } },
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
    assert.deepEqual(decode([...bytes].map((byte) => Buffer.of(byte))), whole);
  });

  test(`does not take a part of ${name} for the whole, even without the last event only`, () => {
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.equal(isWhole(bytes.subarray(0, cut)), false, `cut at ${cut}`);
      const observer = codec.createStreamObserver({ stripUsage: false });
      observer.push(bytes.subarray(0, cut));
      assert.equal(observer.complete, false, `cut at ${cut}`);
    }
  });

  test(`notices every damaged byte of ${name}`, () => {
    for (let at = 0; at < bytes.length; at += 3) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x20;
      let whole = false;
      try {
        whole = isWhole(damaged);
      } catch (error) {
        assert.ok(error instanceof CodecError, String(error));
      }
      // A length that grew waits for bytes that never come.
      assert.equal(whole, false, `byte ${at}`);
    }
  });

  test(`gives the same answer after encoding and decoding ${name}`, () => {
    const decoder = codec.createStreamDecoder();
    const encoded = codec.createStreamEncoder(options).encode([...decoder.push(bytes), ...decoder.end()]);
    assert.deepEqual(decode([encoded]), decode([bytes]));
  });
}

test("throws exceptions and errors out of a stream, with their kind and words", () => {
  const table = [
    [
      frame({ ":message-type": "exception", ":exception-type": "throttlingException" }, { message: "slow down" }),
      "throttlingException",
      "slow down",
    ],
    [
      frame(
        { ":message-type": "exception", ":exception-type": "modelStreamErrorException" },
        { originalStatusCode: 500 },
      ),
      "modelStreamErrorException",
      "the provider answered with modelStreamErrorException",
    ],
    [
      frame({ ":message-type": "error", ":error-code": "InternalError", ":error-message": "broken" }, {}),
      "InternalError",
      "broken",
    ],
  ] as const;
  for (const [bytes, type, message] of table) {
    for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
      subject.push(Buffer.concat([start, delta(0, { text: "a" })]));
      assert.throws(
        () => subject.push(bytes),
        (error) => {
          assert.ok(error instanceof ProviderStreamError);
          const decoded = codec.decodeError(error.body);
          return decoded.type === type && decoded.message === message;
        },
        type,
      );
    }
  }
});

test("throws for bytes that are no frames, frames without JSON and events out of order", () => {
  const noJson = marshaller.encode({
    headers: { ":message-type": { type: "string", value: "event" }, ":event-type": { type: "string", value: "x" } },
    body: Buffer.from("{oops"),
  });
  for (const bytes of [
    Buffer.from("<html>this is a page of a proxy</html>"),
    Buffer.alloc(64),
    noJson,
    delta(0, { text: "a" }),
    Buffer.concat([start, delta(0, { toolUse: { input: "{}" } })]),
  ]) {
    assert.throws(() => codec.createStreamDecoder().push(bytes), CodecError);
  }
});

test("keeps parallel calls apart, and writes no end for an answer without a finish", () => {
  const encoder = codec.createStreamEncoder(options);
  const begun = encoder.encode([
    startEvent("", "m"),
    toolCallStart(0, 0, { id: "a", name: "f" }),
    toolCallStart(0, 1, { id: "b", name: "g" }),
    toolCallDelta(0, 1, '{"x":1}'),
    toolCallDelta(0, 0, '{"y":2}'),
  ]);
  assert.equal(
    decode([codec.createStreamEncoder(options).encode([startEvent("", "m"), endEvent(undefined)])]).ended,
    false,
  );
  const answer = decode([begun, encoder.encode([finishEvent(0, FinishReason.TOOL_CALLS, "x"), endEvent(undefined)])]);
  assert.equal(answer.ended, true);
  assert.equal(answer.nativeFinishReason, "tool_use");
  assert.deepEqual(
    answer.toolCalls.map((each) => each.arguments),
    [{ y: 2 }, { x: 1 }],
  );
});

const invoke = createBedrockInvokeCodec();
const claudeEvents: readonly (JsonObject & { readonly type: string })[] = [
  {
    type: "message_start",
    message: {
      id: "msg_bdrk_1",
      model: "claude",
      role: "assistant",
      content: [],
      usage: { input_tokens: 9, output_tokens: 1 },
    },
  },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Grüße 😀" } },
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 5 } },
  { type: "message_stop", "amazon-bedrock-invocationMetrics": { inputTokenCount: 9 } },
];
const chunks = Buffer.concat(
  claudeEvents.map((each) =>
    event("chunk", { bytes: Buffer.from(JSON.stringify(each)).toString("base64"), p: "abcdefghij" }),
  ),
);

test("forwards Claude's events out of their frames as Anthropic's own, however the bytes are cut", () => {
  const expected = claudeEvents.map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`).join("");
  for (let cut = 0; cut <= chunks.length; cut++) {
    const observer = invoke.createStreamObserver({ stripUsage: false });
    const pieces = [chunks.subarray(0, cut), chunks.subarray(cut)].map((piece) => observer.push(piece));
    assert.equal(Buffer.concat(pieces).toString(), expected, `cut at ${cut}`);
    assert.equal(observer.complete, true);
    assert.equal(observer.pendingBytes, 0);
    assert.equal(observer.usage?.outputTokens, 5n);
    const decoder = invoke.createStreamDecoder();
    const answer = collectEvents([...decoder.push(chunks.subarray(0, cut)), ...decoder.push(chunks.subarray(cut))]);
    assert.equal(answer.text, "Grüße 😀");
    assert.equal(answer.ended, true);
  }
  const observer = invoke.createStreamObserver({ stripUsage: false });
  observer.push(chunks.subarray(0, -1));
  assert.equal(observer.complete, false);
  assert.ok(observer.pendingBytes > 0);
});

test("throws an exception out of Claude's events", () => {
  const exception = frame(
    { ":message-type": "exception", ":exception-type": "throttlingException" },
    { message: "no" },
  );
  for (const subject of [invoke.createStreamDecoder(), invoke.createStreamObserver({ stripUsage: false })]) {
    assert.throws(
      () => subject.push(Buffer.concat([chunks.subarray(0, 0), exception])),
      (error) => error instanceof ProviderStreamError && invoke.decodeError(error.body).type === "throttlingException",
    );
  }
});
