import assert from "node:assert/strict";
import { test } from "node:test";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { createOperationStreamObserver } from "./operation-stream-observer.ts";
import { readOperationUsage } from "./read-operation-usage.ts";

const read = (usage: JsonObject | null, operation: Operation = Operation.GENERATE_IMAGE) => {
  const found = readOperationUsage({ usage }, operation);
  return (
    found && [
      found.uncachedInputTokens,
      found.cacheReadTokens,
      found.outputTokens,
      found.audioInputTokens,
      found.audioOutputTokens,
      found.imageInputTokens ?? 0n,
      found.imageOutputTokens ?? 0n,
    ]
  );
};

test("reads usage of every shape into classes that do not overlap", () => {
  const details = { text_tokens: 4, image_tokens: 10 };
  assert.deepEqual(read({ input_tokens: 14, output_tokens: 272, input_tokens_details: details }), [
    14n,
    0n,
    272n,
    0n,
    0n,
    10n,
    272n,
  ]);
  const outputs = { image_tokens: 200, text_tokens: 72 };
  assert.deepEqual(read({ input_tokens: 14, output_tokens: 272, output_tokens_details: outputs })?.at(-1), 200n);
  const heard = { type: "tokens", input_tokens: 20, output_tokens: 5, input_token_details: { audio_tokens: 18 } };
  assert.deepEqual(read(heard, Operation.TRANSCRIBE), [20n, 0n, 5n, 18n, 0n, 0n, 0n]);
  assert.deepEqual(read({ input_tokens: 4, output_tokens: 9 }, Operation.SPEAK), [4n, 0n, 9n, 0n, 9n, 0n, 0n]);
  assert.deepEqual(read({ prompt_tokens: 3, total_tokens: 3 }, Operation.MODERATE), [3n, 0n, 0n, 0n, 0n, 0n, 0n]);
  assert.deepEqual(read({ total_tokens: 43 }, Operation.RERANK), [43n, 0n, 0n, 0n, 0n, 0n, 0n]);
  const cached = { input_tokens: 10, output_tokens: 1, input_tokens_details: { cached_tokens: 4, image_tokens: 99 } };
  assert.deepEqual(read(cached)?.slice(0, 2), [6n, 4n]);
  assert.equal(read(cached)?.[5], 6n);
});

test("reads no usage where no tokens are reported", () => {
  assert.equal(read({ type: "duration", seconds: 9 }, Operation.TRANSCRIBE), undefined);
  assert.equal(read(null), undefined);
  assert.equal(read({ input_tokens: -4, output_tokens: "x" }), undefined);
});

const event = (value: object, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(value)}\r\n\r\n`;
const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 };

test("finds the end and the usage of a stream however it is cut, and changes nothing", () => {
  const long = "QUJD".repeat(4_000);
  const text =
    event({ type: "image_edit.partial_image", b64_json: long }) +
    event({ type: "image_edit.completed", b64_json: long, usage }, "image_edit.completed") +
    "data: [DONE]\n\n";
  const bytes = Buffer.from(text);
  for (const at of [0, 1, 20, 16_050, 16_200, 32_000, bytes.length - 20, bytes.length - 1]) {
    const observer = createOperationStreamObserver(Operation.EDIT_IMAGE);
    const out = [observer.push(bytes.subarray(0, at)), observer.push(bytes.subarray(at))];
    assert.equal(Buffer.concat(out).toString(), text);
    assert.equal(observer.complete, true);
    assert.equal(observer.usage?.imageOutputTokens, 2n);
    assert.equal(observer.pendingBytes, 0);
  }
});

test("takes the last event of each operation for its end, and no other", () => {
  const ends = ["transcript.text.done", "speech.audio.done", "image_generation.completed"];
  const others = ["transcript.text.delta", "transcript.text.segment", "speech.audio.delta"];
  for (const type of [...ends, ...others]) {
    const observer = createOperationStreamObserver(Operation.SPEAK);
    observer.push(Buffer.from(event({ type, text: 'she said "type":"x.done"' })));
    assert.equal(observer.complete, ends.includes(type), type);
    assert.equal(observer.contentSeen, true);
    assert.ok(observer.countedOutputTokens > 0);
  }
});

test("does not take usage on the way for an end", () => {
  const observer = createOperationStreamObserver(Operation.TRANSCRIBE);
  observer.push(Buffer.from(event({ type: "transcript.text.delta", delta: "a", usage })));
  assert.equal(observer.complete, false);
  assert.equal(observer.usage?.outputTokens, 2n);
});

test("throws for an error inside the stream", () => {
  for (const text of [
    event({ type: "error", error: { message: "no" } }),
    event({ error: { message: "no" } }),
    event({ message: "no" }, "error"),
    "event: error\ndata: no\n\n",
  ]) {
    assert.throws(
      () => createOperationStreamObserver(Operation.SPEAK).push(Buffer.from(text)),
      ProviderStreamError,
      text,
    );
  }
  const broken = 'data: {"usage":{\n\n';
  assert.throws(() => createOperationStreamObserver(Operation.SPEAK).push(Buffer.from(broken)), CodecError);
});
