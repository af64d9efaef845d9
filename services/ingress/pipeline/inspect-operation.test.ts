import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { CodecError } from "#codec/codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { inspectOpenAiCompletions } from "./inspect-openai-completions.ts";
import { inspectOperation } from "./inspect-operation.ts";
import { inspectRerank } from "./inspect-rerank.ts";

const bytes = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const inspect = (operation: Operation, value: object) => inspectOperation(bytes(value), "", operation);

async function inspectForm(operation: Operation, fields: readonly (readonly [string, string | Blob])[]) {
  const form = new FormData();
  for (const [name, value] of fields) {
    form.append(name, value);
  }
  const response = new Response(form);
  const contentType = response.headers.get("content-type") ?? "";
  return inspectOperation(Buffer.from(await response.arrayBuffer()), contentType, operation);
}

test("reads model and stream of JSON and of forms, by each operation's own name of it", async () => {
  assert.equal(inspect(Operation.GENERATE_IMAGE, { model: "m", stream: true }).stream, true);
  assert.equal(inspect(Operation.SPEAK, { model: "m", stream_format: "sse" }).stream, true);
  assert.equal(inspect(Operation.SPEAK, { model: "m", stream: true }).stream, false);
  for (const [text, stream] of [
    ["true", true],
    ["True", true],
    ["1", true],
    ["false", false],
  ] as const) {
    const found = await inspectForm(Operation.TRANSCRIBE, [
      ["model", "m"],
      ["stream", text],
    ]);
    assert.deepEqual([found.model, found.stream], ["m", stream]);
  }
});

test("bounds what pictures can cost by their number, and those to be changed by theirs", async () => {
  const made = inspect(Operation.GENERATE_IMAGE, { model: "m", prompt: "x", n: 4 });
  assert.equal((made.outputTokenLimit ?? 0n) * made.candidates, 80_000n);
  const listed = inspect(Operation.EDIT_IMAGE, { model: "m", images: [{}, {}], mask: {} });
  assert.ok(listed.inputTokenBound > 60_000n);
  const form = await inspectForm(Operation.EDIT_IMAGE, [
    ["model", "m"],
    ["image[]", new Blob(["x".repeat(1_000)])],
    ["n", "2"],
  ]);
  assert.ok(form.inputTokenBound > 20_000n && form.inputTokenBound < 21_000n);
  assert.equal(form.candidates, 2n);
});

test("bounds what a recording can come to, and does not take its bytes for text", async () => {
  const heard = await inspectForm(Operation.TRANSCRIBE, [
    ["model", "m"],
    ["file", new Blob(["x".repeat(1_000_000)])],
  ]);
  assert.ok(heard.inputTokenBound >= 120_000n && heard.inputTokenBound < 130_000n);
  assert.ok((heard.inputTextBytes ?? 0) < 5_000);
});

test("bounds speech by its text", () => {
  const body = { model: "m", input: "x".repeat(1_000) };
  assert.ok((inspect(Operation.SPEAK, body).outputTokenLimit ?? 0n) >= 8_000n);
});

test("names OpenAI's own model where a classification names none, and no other", () => {
  assert.equal(inspect(Operation.MODERATE, { input: "x" }).model, "omni-moderation-latest");
  assert.throws(() => inspect(Operation.SPEAK, { input: "x" }), /model/);
});

test("refuses numbers of pictures that are none", () => {
  for (const n of [0, -1, 1.5, 1e9, "x", true]) {
    assert.throws(() => inspect(Operation.GENERATE_IMAGE, { model: "m", n }), CodecError, String(n));
  }
});

test("counts all answers to all texts of older completions", () => {
  const asked = { model: "m", prompt: ["a", "b", "c"], n: 2, best_of: 4, max_tokens: 10 };
  const found = inspectOpenAiCompletions(bytes(asked));
  assert.deepEqual([found.candidates, found.outputTokenLimit], [12n, 10n]);
  const open = inspectOpenAiCompletions(bytes({ model: "m", prompt: [1, 2, 3] }));
  assert.deepEqual([open.candidates, open.outputTokenLimit], [1n, undefined]);
});

test("counts a query once more for each document", () => {
  const asked = { model: "m", query: "q".repeat(100), documents: ["a", "b"] };
  assert.equal(inspectRerank(bytes(asked)).inputTokenBound, BigInt(bytes(asked).length + 200));
});
