import assert from "node:assert/strict";
import { test } from "node:test";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { createOpenAiEmbedCodec } from "./openai-embed-codec.ts";

const codec = createOpenAiEmbedCodec();

test("reads and writes requests", () => {
  const request = codec.decodeRequest({ model: "m", input: "a", dimensions: 3, user: "u", encoding_format: "base64" });
  assert.deepEqual(request.inputs, ["a"]);
  assert.deepEqual(codec.encodeRequest(request, { model: "n" }), {
    body: { model: "n", input: ["a"], encoding_format: "float", dimensions: 3, user: "u" },
    dropped: [],
  });
  assert.deepEqual(codec.decodeRequest({ model: "m", input: ["a", "b"] }).inputs, ["a", "b"]);
});

const refused: readonly (readonly [string, JsonObject, string, string])[] = [
  ["no model", { input: "a" }, "missing_required_parameter", "model"],
  ["no input", { model: "m" }, "missing_required_parameter", "input"],
  ["an empty input", { model: "m", input: [] }, "empty_array", "input"],
  [
    "too many inputs",
    { model: "m", input: Array.from({ length: 2049 }, () => "a") },
    "array_above_max_length",
    "input",
  ],
  ["tokens", { model: "m", input: [[1, 2]] }, "unsupported_parameter", "input"],
  ["an input that is an object", { model: "m", input: {} }, "invalid_type", "input"],
  ["an unknown encoding", { model: "m", input: "a", encoding_format: "hex" }, "invalid_value", "encoding_format"],
  ["dimensions of 0", { model: "m", input: "a", dimensions: 0 }, "integer_below_min_value", "dimensions"],
];

for (const [name, body, code, param] of refused) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => codec.decodeRequest(body),
      (error) => error instanceof CodecError && error.code === code && error.param === param,
    );
  });
}

test("reads vectors as numbers and as base64, in the order of the inputs", () => {
  const base64 = Buffer.from(new Float32Array([0.5, -1]).buffer).toString("base64");
  const response = codec.decodeResponse({
    model: "m",
    data: [
      { index: 1, embedding: base64 },
      { index: 0, embedding: [1, 2] },
    ],
    usage: { prompt_tokens: 4, total_tokens: 4 },
  });
  assert.deepEqual(
    response.embeddings.map((embedding) => embedding.values),
    [
      [1, 2],
      [0.5, -1],
    ],
  );
  assert.equal(response.usage?.uncachedInputTokens, 4n);
  assert.equal(response.usage?.outputTokens, 0n);
  const written = codec.encodeResponse(response, "base64");
  assert.deepEqual(codec.decodeResponse(written), response);
  assert.deepEqual(codec.decodeResponse(codec.encodeResponse(response)), response);
});

test("reads usage that is a total only", () => {
  assert.equal(codec.readUsage({ usage: { total_tokens: 9 } })?.uncachedInputTokens, 9n);
  assert.equal(codec.readUsage({}), undefined);
});

test("refuses answers that hold no vectors", () => {
  assert.throws(() => codec.decodeResponse({ error: { message: "no" } }), ProviderStreamError);
  assert.throws(() => codec.decodeResponse({}), CodecError);
  assert.throws(() => codec.decodeResponse({ data: [{ embedding: ["a"] }] }), CodecError);
});
