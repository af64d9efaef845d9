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
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { asNumber, asObject, asString } from "../json/json-values.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { type CollectedAnswer, collectEvents } from "../testing/collect-answer.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";
import { begin, complete, failedStreams, sse, streamFixtures } from "./stream-fixtures.ts";

const codec = createOpenAiResponsesCodec();
const options = { fallbackId: "chatcmpl-77", fallbackCreated: 1, includeUsage: true };

function decode(pieces: readonly Uint8Array[]): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]);
}

function observe(pieces: readonly Uint8Array[]): unknown {
  const observer = codec.createStreamObserver({ stripUsage: true });
  const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece))).toString();
  const { usage, finishReason, complete: isComplete, contentSeen, pendingBytes } = observer;
  return { forwarded, usage, finishReason, isComplete, contentSeen, pendingBytes };
}

/** The events that an encoder wrote, parsed. */
function read(bytes: Uint8Array): readonly JsonObject[] {
  return createSseDecoder()
    .push(bytes)
    .map(({ event, data }) => {
      const value = JSON.parse(data) as JsonObject;
      assert.equal(value["type"], event);
      return value;
    });
}

function outline(events: readonly JsonObject[]): readonly string[] {
  return events.map((event) => {
    const kind = asString(asObject(event["item"])?.["type"]);
    const index = asNumber(event["output_index"]) ?? "";
    return `${asString(event["type"]).replace("response.", "")} ${index} ${kind}`.trim();
  });
}

for (const { name, bytes, expected } of streamFixtures) {
  test(`decodes a stream with ${name}`, () => {
    const { usage, ...answer } = decode([bytes]);
    assert.deepEqual(answer, expected);
    assert.equal(usage?.uncachedInputTokens, 6n);
    assert.equal(usage.cacheReadTokens, 4n);
    assert.equal(usage.cacheWriteTokens, 2n);
    assert.equal(usage.outputTokens, 5n);
    assert.equal(usage.reasoningTokens, 2n);
  });

  test(`decodes and observes the same cut at every byte, with ${name}`, () => {
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
    assert.equal(observer.finishReason, finishFromOutput(bytes));
    assert.deepEqual(observer.usage, decode([bytes]).usage);
    assert.equal(observer.complete, true);
    assert.equal(observer.contentSeen, true);
    assert.equal(observer.pendingBytes, 0);
    assert.ok(observer.countedOutputTokens > 0);
  });

  test(`gives the same answer after encoding and decoding, with ${name}`, () => {
    const decoder = codec.createStreamDecoder();
    const encoded = codec.createStreamEncoder(options).encode([...decoder.push(bytes), ...decoder.end()]);
    assert.deepEqual(decode([encoded]), decode([bytes]));
  });

  test(`does not take a part of a stream for a whole one, with ${name}`, () => {
    const text = bytes.toString("latin1");
    const last = Math.max(
      text.lastIndexOf("event: response.completed"),
      text.lastIndexOf("event: response.incomplete"),
    );
    for (let cut = 0; cut < text.indexOf("\n", last + 40); cut += 7) {
      const decoder = codec.createStreamDecoder();
      const observer = codec.createStreamObserver({ stripUsage: false });
      const events = [...decoder.push(bytes.subarray(0, cut)), ...decoder.end()];
      observer.push(bytes.subarray(0, cut));
      assert.ok(!events.some(({ event }) => event.case === "end"), `cut at ${cut}`);
      assert.equal(observer.complete, false, `cut at ${cut}`);
    }
  });
}

/** The finish by what the last event repeats, which is what an observer reads. */
function finishFromOutput(bytes: Buffer): FinishReason {
  const last = read(
    Buffer.from(
      bytes
        .toString()
        .replaceAll("\r\n", "\n")
        .replace(/^: hi\n\n|data: \[DONE\]\n\n$/g, ""),
    ),
  );
  return codec.readResponse(asObject(last.at(-1)?.["response"]) ?? {}).finishReason;
}

test("decodes and observes the same in many random pieces", () => {
  fc.assert(
    fc.property(fc.constantFrom(...streamFixtures), fc.array(fc.nat(6000), { maxLength: 40 }), ({ bytes }, places) => {
      const borders = places.filter((place) => place < bytes.length).toSorted((one, other) => one - other);
      const cuts = [0, ...borders, bytes.length];
      const pieces = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut));
      assert.deepEqual(decode(pieces), decode([bytes]));
      assert.deepEqual(observe(pieces), observe([bytes]));
    }),
    { numRuns: 60 },
  );
});

for (const { name, bytes, code, type } of failedStreams) {
  test(`throws the provider's error for ${name}, cut at every byte`, () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      for (const subject of [codec.createStreamDecoder(), codec.createStreamObserver({ stripUsage: false })]) {
        assert.throws(
          () => [subject.push(bytes.subarray(0, cut)), subject.push(bytes.subarray(cut))],
          (error) => {
            assert.ok(error instanceof ProviderStreamError);
            const decoded = codec.decodeError(error.body);
            assert.deepEqual([decoded.message, decoded.code, decoded.type], ["no", code, type]);
            return true;
          },
          `cut at ${cut}`,
        );
      }
    }
  });
}

test("throws for bytes that are not of the dialect", () => {
  const table: readonly (readonly [string, Uint8Array])[] = [
    ["no JSON", Buffer.from("data: {oops\n\n")],
    ["no object", Buffer.from("data: 1\n\n")],
    ["an impossible index", sse({ type: "response.output_text.delta", output_index: -1, delta: "a" })],
    ["an impossible part", sse({ type: "response.output_text.delta", content_index: 1e9, delta: "a" })],
  ];
  for (const [name, bytes] of table) {
    assert.throws(() => codec.createStreamDecoder().push(bytes), CodecError, name);
  }
});

test("sees no content in what begins a response", () => {
  const observer = codec.createStreamObserver({ stripUsage: false });
  observer.push(sse(...begin, { type: "response.output_item.added", item: { type: "message" } }));
  assert.deepEqual([observer.contentSeen, observer.complete, observer.countedOutputTokens], [false, false, 0]);
});

test("counts tokens by deltas, and by bytes where deltas are long", () => {
  const delta = (text: string): Buffer =>
    sse({ type: "response.output_text.delta", item_id: "m", output_index: 0, delta: text });
  const small = codec.createStreamObserver({ stripUsage: false });
  const large = codec.createStreamObserver({ stripUsage: false });
  for (let count = 0; count < 10; count++) {
    small.push(delta("word"));
    large.push(delta("word ".repeat(200)));
  }
  assert.equal(small.countedOutputTokens, 10);
  assert.ok(large.countedOutputTokens > 1500 && large.countedOutputTokens < 3000);
});

test("writes the events in OpenAI's order, numbered", () => {
  const bytes = codec
    .createStreamEncoder(options)
    .encode([
      startEvent("", "m"),
      reasoningDelta(0, "Hm"),
      reasoningDelta(0, "", "sig=="),
      textDelta(0, "a"),
      textDelta(0, "b"),
      toolCallStart(0, 0, { id: "call_a", name: "f" }),
      toolCallDelta(0, 0, "{}"),
      toolCallStart(0, 1, { id: "call_b", name: "g" }),
      toolCallDelta(0, 1, '{"y":2}'),
      finishEvent(0, FinishReason.TOOL_CALLS, "tool_use"),
      endEvent(undefined),
    ]);
  const events = read(bytes);
  assert.deepEqual(outline(events), [
    "created",
    "in_progress",
    "output_item.added 0 reasoning",
    "reasoning_summary_part.added 0",
    "reasoning_summary_text.delta 0",
    "reasoning_summary_text.done 0",
    "reasoning_summary_part.done 0",
    "output_item.done 0 reasoning",
    "output_item.added 1 message",
    "content_part.added 1",
    "output_text.delta 1",
    "output_text.delta 1",
    "output_text.done 1",
    "content_part.done 1",
    "output_item.done 1 message",
    "output_item.added 2 function_call",
    "function_call_arguments.delta 2",
    "function_call_arguments.done 2",
    "output_item.done 2 function_call",
    "output_item.added 3 function_call",
    "function_call_arguments.delta 3",
    "function_call_arguments.done 3",
    "output_item.done 3 function_call",
    "completed",
  ]);
  assert.deepEqual(
    events.map((event) => event["sequence_number"]),
    events.map((_, index) => index),
  );
  const response = asObject(events.at(-1)?.["response"]) ?? {};
  assert.equal(response["id"], "resp_77");
  assert.equal(response["created_at"], 1);
  assert.deepEqual(
    events.flatMap((event) => (event["type"] === "response.output_item.done" ? [event["item"]] : [])),
    response["output"],
  );
});

test("keeps interleaved calls apart", () => {
  const encoded = codec
    .createStreamEncoder(options)
    .encode([
      startEvent("resp_9", "m"),
      toolCallStart(0, 0, { id: "a", name: "one" }),
      toolCallDelta(0, 0, '{"x":{}'),
      toolCallStart(0, 1, { id: "b", name: "two" }),
      toolCallDelta(0, 1, '{"y":2}'),
      toolCallDelta(0, 0, "}"),
      finishEvent(0, FinishReason.TOOL_CALLS, "tool_calls"),
      endEvent(undefined),
    ]);
  assert.deepEqual(decode([encoded]).toolCalls, [
    { id: "a", name: "one", arguments: { x: {} } },
    { id: "b", name: "two", arguments: { y: 2 } },
  ]);
});

test("writes no end for a stream without a finish, and an error's end for one that failed", () => {
  const start = [startEvent("", "m"), textDelta(0, "hi")];
  const cut = Buffer.from(codec.createStreamEncoder(options).encode([...start, endEvent(undefined)])).toString();
  assert.doesNotMatch(cut, /response\.(completed|incomplete|failed)|output_item\.done/);
  const failed = codec
    .createStreamEncoder(options)
    .encode([...start, finishEvent(0, FinishReason.ERROR, "error"), endEvent(undefined)]);
  assert.throws(() => decode([failed]), ProviderStreamError);
});

test("marks what a limit cut as incomplete", () => {
  const events = read(
    codec
      .createStreamEncoder(options)
      .encode([
        startEvent("", "m"),
        toolCallStart(0, 0, { id: "a", name: "f" }),
        toolCallDelta(0, 0, '{"x":'),
        finishEvent(0, FinishReason.LENGTH, "length"),
        endEvent(undefined),
      ]),
  );
  const last = asObject(events.at(-1)?.["response"]);
  assert.equal(events.at(-1)?.["type"], "response.incomplete");
  assert.deepEqual(last?.["incomplete_details"], { reason: "max_output_tokens" });
  assert.deepEqual(last?.["output"], [
    { id: "fc_77_0", type: "function_call", status: "incomplete", call_id: "a", name: "f", arguments: '{"x":' },
  ]);
});

test("carries other providers' signatures to its clients and back to their parts", () => {
  const encoded = codec
    .createStreamEncoder(options)
    .encode([
      startEvent("m1", "m"),
      reasoningDelta(0, "", "", "redacted=="),
      reasoningDelta(0, "thought", "thought-signature"),
      textDelta(0, "hello", "text-signature"),
      toolCallStart(0, 0, { id: "a", name: "one", signature: "call-signature" }),
      toolCallDelta(0, 0, "{}"),
      finishEvent(0, FinishReason.TOOL_CALLS, "STOP"),
      endEvent(undefined),
    ]);
  const output = asObject(read(encoded).at(-1)?.["response"])?.["output"] ?? [];
  const { messages } = codec.decodeRequest({
    model: "m",
    input: [
      { role: "user", content: "hi" },
      ...(output as readonly JsonObject[]),
      { type: "function_call_output", call_id: "a", output: "1" },
    ],
  });
  const parts = messages[1]?.parts.map(({ content }) => {
    const { $typeName: _, ...value } = content.value ?? { $typeName: "" };
    return { [content.case ?? ""]: value };
  });
  assert.deepEqual(parts, [
    { reasoning: { text: "", signature: "", redactedData: "redacted==" } },
    { reasoning: { text: "thought", signature: "thought-signature", redactedData: "" } },
    { text: { text: "hello", signature: "text-signature" } },
    { toolCall: { id: "a", name: "one", argumentsJson: "{}", signature: "call-signature" } },
  ]);
});

test("leaves out other candidates, and refuses arguments of a call that is not open", () => {
  const encoder = codec.createStreamEncoder(options);
  assert.equal(encoder.encode([textDelta(1, "other")]).length, 0);
  assert.throws(() => encoder.encode([toolCallDelta(0, 3, "{}")]), CodecError);
});

test("gives log probabilities in each dialect's form", () => {
  const tokens = [{ token: "a", logprob: -0.1, bytes: [97], top_logprobs: [] }];
  const stream = sse(
    ...begin,
    { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "a", logprobs: tokens },
    complete([]),
  );
  const events = codec.createStreamDecoder().push(stream);
  const logprobs = events.flatMap(({ event }) => (event.case === "textDelta" ? [event.value.logprobsJson] : []));
  assert.deepEqual(
    logprobs.map((json): unknown => JSON.parse(json)),
    [{ content: tokens, refusal: null }],
  );
  const delta = read(codec.createStreamEncoder(options).encode(events)).find(
    (event) => event["type"] === "response.output_text.delta",
  );
  assert.deepEqual(delta?.["logprobs"], tokens);
});
