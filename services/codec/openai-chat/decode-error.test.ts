import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../codec.ts";
import { decodeError } from "./decode-error.ts";
import { mapFinishReason, writeFinishReason } from "./map-finish-reason.ts";

const table: readonly (readonly [string, Json | undefined, readonly [string, string, string, string]])[] = [
  ["OpenAI's form", { error: { message: "m", type: "t", code: "c", param: "p" } }, ["m", "t", "c", "p"]],
  ["nulls", { error: { message: "m", type: null, code: null, param: null } }, ["m", "", "", ""]],
  ["a numeric code", { error: { message: "m", code: 429 } }, ["m", "", "429", ""]],
  ["a string", { code: "c", error: "m" }, ["m", "", "c", ""]],
  ["a flat form", { object: "error", message: "m", type: "t", code: "3280", param: null }, ["m", "t", "3280", ""]],
  ["a detail", { detail: "m" }, ["m", "", "", ""]],
  ["a list of details", { detail: [{ loc: ["body"], msg: "a", type: "x" }, { msg: "b" }] }, ["a; b", "", "", ""]],
  [
    "Gemini's list",
    [{ error: { code: 400, message: "m", status: "INVALID_ARGUMENT" } }],
    ["m", "INVALID_ARGUMENT", "400", ""],
  ],
  ["plain text", "upstream connect error", ["upstream connect error", "", "", ""]],
  ["a page", " <html><body>502</body></html>", ["", "", "", ""]],
  ["nothing", undefined, ["", "", "", ""]],
  ["null", null, ["", "", "", ""]],
  ["an empty list", [], ["", "", "", ""]],
];

for (const [name, body, [message, type, code, param]] of table) {
  test(`reads an error body that is ${name}`, () => {
    assert.deepEqual(decodeError(body), { message, type, code, param, retryDelayMs: undefined });
  });
}

test("knows the finish reasons of compatible servers, and takes unknown words for a stop", () => {
  const words = ["stop", "length", "model_length", "tool_calls", "function_call", "content_filter", "error", "eos"];
  assert.deepEqual(
    words.map((word) => writeFinishReason(mapFinishReason(word))),
    ["stop", "length", "length", "tool_calls", "tool_calls", "content_filter", "error", "stop"],
  );
  assert.deepEqual(
    [null, undefined, "", 1].map((word) => writeFinishReason(mapFinishReason(word))),
    [null, null, null, null],
  );
});
