import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, ProviderStreamError } from "../codec.ts";
import { createStreamDecoder } from "./stream-decoder.ts";
import {
  azureStream,
  bareCallsStream,
  completeStreams,
  failedStreams,
  listStream,
  markerlessStream,
  parallelCallsStream,
  plainStream,
  sharedIndexStream,
  thoughtStream,
  twoCandidatesStream,
} from "./stream-fixtures.ts";

function decode(pieces: readonly Uint8Array[]): readonly ChatEvent[] {
  const decoder = createStreamDecoder();
  return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
}

/** The events of a text, each as its case and its values without the type name. */
function events(text: string): readonly unknown[] {
  return decode([Buffer.from(text)]).map(({ event }) => {
    const { $typeName: _, ...value } = event.value ?? { $typeName: "" };
    return { [event.case ?? "none"]: value };
  });
}

function only(name: string, list: readonly unknown[]): readonly unknown[] {
  return list.flatMap((entry) =>
    Object.entries(entry as object).flatMap(([key, value]) => (key === name ? [value] : [])),
  );
}

for (const { name, text } of completeStreams) {
  test(`gives the same events for ${name}, cut at every byte`, () => {
    const bytes = Buffer.from(text);
    const whole = decode([bytes]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.deepEqual(decode([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`);
    }
    assert.equal(whole.at(-1)?.event.case, "end");
    assert.equal(whole.filter(({ event }) => event.case === "start").length, 1);
  });

  test(`gives no end event for ${name} when it is cut before its finish`, () => {
    const bytes = Buffer.from(text);
    const finish = text.search(/"finish_reason":"/);
    const cut = Buffer.from(text.slice(0, finish)).length;
    for (const size of [cut, Math.floor(cut / 2), cut - 1]) {
      assert.ok(decode([bytes.subarray(0, size)]).every(({ event }) => event.case !== "end"));
    }
  });
}

test("gives the same events however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.constantFrom(...completeStreams), fc.array(fc.nat(3000), { maxLength: 10 }), ({ text }, cuts) => {
      const bytes = Buffer.from(text);
      const borders = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
      const pieces = borders.slice(1).map((border, index) => bytes.subarray(borders[index], border));
      assert.deepEqual(decode(pieces), decode([bytes]));
    }),
  );
});

for (const { name, text } of failedStreams) {
  test(`throws the provider's error for ${name}, cut at every byte`, () => {
    const bytes = Buffer.from(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.throws(() => decode([bytes.subarray(0, cut), bytes.subarray(cut)]), ProviderStreamError, `cut at ${cut}`);
    }
  });
}

test("reads text, finish and usage", () => {
  const timestamp = { $typeName: "google.protobuf.Timestamp", seconds: 1700000000n, nanos: 0 };
  assert.deepEqual(events(plainStream.text), [
    { start: { id: "chatcmpl-7", model: "m-1", createTime: timestamp, usage: undefined } },
    { textDelta: { candidateIndex: 0, text: "Grüße, ", signature: "", logprobsJson: "" } },
    { textDelta: { candidateIndex: 0, text: '"usage": {😀}', signature: "", logprobsJson: "" } },
    { finish: { candidateIndex: 0, finishReason: FinishReason.STOP, nativeFinishReason: "stop", stopSequence: "" } },
    {
      end: {
        usage: {
          $typeName: "penstock.type.v1.Usage",
          uncachedInputTokens: 8n,
          cacheReadTokens: 4n,
          cacheWriteTokens: 0n,
          outputTokens: 5n,
          reasoningTokens: 2n,
          cacheWrite1hTokens: 0n,
          audioInputTokens: 0n,
          audioOutputTokens: 0n,
          estimated: false,
        },
      },
    },
  ]);
});

test("reads parallel calls, and completes arguments that never came", () => {
  const list = events(parallelCallsStream.text);
  assert.deepEqual(only("toolCallStart", list), [
    { candidateIndex: 0, callIndex: 0, id: "call_a", name: "f", signature: "" },
    { candidateIndex: 0, callIndex: 1, id: "call_b", name: "g", signature: "" },
  ]);
  assert.deepEqual(only("toolCallDelta", list), [
    { candidateIndex: 0, callIndex: 0, argumentsJson: '{"x":' },
    { candidateIndex: 0, callIndex: 0, argumentsJson: "1}" },
    { candidateIndex: 0, callIndex: 1, argumentsJson: "{}" },
  ]);
});

test("keeps calls apart that share an index, and says that tools are to be run", () => {
  const list = events(sharedIndexStream.text);
  assert.deepEqual(
    only("toolCallDelta", list).map((value) => (value as { argumentsJson: string }).argumentsJson),
    ['{"x":1}', '{"x":2}'],
  );
  assert.deepEqual(only("finish", list), [
    { candidateIndex: 0, finishReason: FinishReason.TOOL_CALLS, nativeFinishReason: "stop", stopSequence: "" },
  ]);
});

test("makes ids for calls that have none, from the id of the answer", () => {
  const list = events(bareCallsStream.text);
  assert.deepEqual(
    only("toolCallStart", list).map((value) => (value as { id: string }).id),
    ["call_chatcmpl7_0", "call_chatcmpl7_1"],
  );
  assert.deepEqual(
    only("toolCallDelta", list).map((value) => (value as { argumentsJson: string }).argumentsJson),
    ['{"x":1}', "{}"],
  );
});

test("reads thoughts once, with their signature and the encrypted one", () => {
  assert.deepEqual(only("reasoningDelta", events(thoughtStream.text)), [
    { candidateIndex: 0, text: "Let ", signature: "", redactedData: "" },
    { candidateIndex: 0, text: "me", signature: "", redactedData: "" },
    { candidateIndex: 0, text: "", signature: "sig==", redactedData: "" },
    { candidateIndex: 0, text: "", signature: "", redactedData: "enc==" },
  ]);
});

test("reads content lists as thought and text", () => {
  const list = events(listStream.text);
  assert.equal(
    only("reasoningDelta", list)
      .map((value) => (value as { text: string }).text)
      .join(""),
    "Hm.",
  );
  assert.equal(
    only("textDelta", list)
      .map((value) => (value as { text: string }).text)
      .join(""),
    "144",
  );
});

test("takes the identity from the first chunk that says something about the answer", () => {
  const [start] = only("start", events(azureStream.text));
  assert.equal((start as { id: string }).id, "chatcmpl-7");
});

test("keeps the last of several usages, and ends without a final marker", () => {
  const [end] = only("end", events(markerlessStream.text));
  assert.equal((end as { usage: { outputTokens: bigint } }).usage.outputTokens, 3n);
});

test("gives each candidate its finish", () => {
  assert.deepEqual(
    only("finish", events(twoCandidatesStream.text)).map(
      (value) => (value as { candidateIndex: number }).candidateIndex,
    ),
    [1, 0],
  );
});

test("gives no end event when the final marker comes without a finish, or before all candidates have one", () => {
  const withoutFinish = plainStream.text.replaceAll('"stop"', "null");
  assert.deepEqual(only("end", events(withoutFinish)), []);
  const oneFinished = twoCandidatesStream.text.replaceAll('"length"', "null");
  assert.deepEqual(only("end", events(oneFinished)), []);
});

test("refuses what is not a chunk", () => {
  const isCodecError = (error: unknown): boolean => error instanceof CodecError;
  assert.throws(() => events('data: {"cho\n\n'), isCodecError);
  assert.throws(() => events("data: []\n\n"), isCodecError);
  assert.throws(() => events('data: {"choices":[{"index":-1,"delta":{}}]}\n\n'), isCodecError);
  assert.throws(() => events('data: {"choices":[{"index":4096,"delta":{}}]}\n\n'), isCodecError);
});

test("gives no events for a body that is no event stream", () => {
  assert.deepEqual(events("<html>busy</html>"), []);
});

test("reads a signature beside text and beside a call", () => {
  const google = { extra_content: { google: { thought_signature: "s1" } } };
  const call = { index: 0, id: "c", function: { name: "f", arguments: "{}" }, ...google };
  const text =
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "a", ...google } }] })}\n\n` +
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [call] } }] })}\n\n`;
  const list = events(text);
  assert.equal((only("textDelta", list)[0] as { signature: string }).signature, "s1");
  assert.equal((only("toolCallStart", list)[0] as { signature: string }).signature, "s1");
});
