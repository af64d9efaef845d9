import assert from "node:assert/strict";
import { test } from "node:test";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type Json, ProviderStreamError } from "../codec.ts";
import { decodeError } from "./decode-error.ts";
import { decodeResponse, readResponse } from "./decode-response.ts";
import { encodeResponse } from "./encode-response.ts";
import { mapStopReason, toStopReason } from "./map-finish-reason.ts";
import { decodeUsage, encodeUsage } from "./map-usage.ts";

const options = { fallbackId: "msg_fallback", fallbackCreated: 1, includeUsage: true };

test("counts usage in classes that do not overlap", () => {
  const usage = decodeUsage({
    input_tokens: 3,
    cache_read_input_tokens: 100,
    cache_creation_input_tokens: 50,
    cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 20 },
    output_tokens: 40,
    output_tokens_details: { thinking_tokens: 60 },
  });
  assert.equal(usage?.uncachedInputTokens, 3n);
  assert.equal(usage?.cacheReadTokens, 100n);
  assert.equal(usage?.cacheWriteTokens, 50n);
  assert.equal(usage?.cacheWrite1hTokens, 20n);
  assert.equal(usage?.outputTokens, 40n);
  assert.equal(usage?.reasoningTokens, 40n);
  assert.deepEqual(decodeUsage(encodeUsage(usage)), usage);
});

test("takes no negative, broken or textual count for a number", () => {
  const usage = decodeUsage({ input_tokens: -3, output_tokens: 2.9, cache_read_input_tokens: "7" });
  assert.deepEqual([usage?.uncachedInputTokens, usage?.outputTokens, usage?.cacheReadTokens], [0n, 2n, 0n]);
});

test("maps stop reasons both ways", () => {
  const table: readonly (readonly [string, FinishReason])[] = [
    ["end_turn", FinishReason.STOP],
    ["pause_turn", FinishReason.STOP],
    ["max_tokens", FinishReason.LENGTH],
    ["model_context_window_exceeded", FinishReason.LENGTH],
    ["tool_use", FinishReason.TOOL_CALLS],
    ["refusal", FinishReason.CONTENT_FILTER],
  ];
  for (const [native, finishReason] of table) {
    assert.equal(mapStopReason(native), finishReason);
    assert.equal(toStopReason({ finishReason, nativeFinishReason: native, stopSequence: "" }), native);
  }
  assert.equal(mapStopReason("brand_new"), FinishReason.STOP);
  assert.equal(mapStopReason(""), FinishReason.UNSPECIFIED);
  assert.equal(
    toStopReason({ finishReason: FinishReason.STOP, nativeFinishReason: "stop", stopSequence: "X" }),
    "stop_sequence",
  );
  assert.equal(
    toStopReason({ finishReason: FinishReason.CONTENT_FILTER, nativeFinishReason: "SAFETY", stopSequence: "" }),
    "refusal",
  );
});

test("leaves out what servers' tools did", () => {
  const response = decodeResponse({
    id: "msg_1",
    model: "claude",
    content: [
      { type: "server_tool_use", id: "s", name: "web_search", input: {} },
      { type: "web_search_tool_result", tool_use_id: "s", content: [] },
      { type: "text", text: "found" },
      { type: "tool_use", id: "t", name: "x", input: { a: 1 } },
    ],
    stop_reason: "tool_use",
    usage: { input_tokens: 1, output_tokens: 2 },
  });
  const encoded = encodeResponse(response, options);
  assert.deepEqual(encoded["content"], [
    { type: "text", text: "found" },
    { type: "tool_use", id: "t", name: "x", input: { a: 1 } },
  ]);
  assert.equal(encoded["stop_reason"], "tool_use");
  assert.deepEqual(decodeResponse(encoded), response);
});

test("leaves out a call that the output limit cut, and refuses any other broken one", () => {
  const response = decodeResponse({
    content: [{ type: "tool_use", id: "t", name: "x", input: {} }],
    stop_reason: "max_tokens",
  });
  const part = response.candidates[0]?.message?.parts[0];
  assert.ok(part?.content.case === "toolCall");
  part.content.value.argumentsJson = '{"a":';
  assert.deepEqual(encodeResponse(response, options)["content"], []);
  const [candidate] = response.candidates;
  assert.ok(candidate !== undefined);
  candidate.finishReason = FinishReason.TOOL_CALLS;
  assert.throws(() => encodeResponse(response, options), CodecError);
});

test("throws for an error with status 200 and for a body that is no message", () => {
  for (const read of [decodeResponse, readResponse]) {
    assert.throws(() => read({ type: "error", error: { type: "api_error", message: "x" } }), ProviderStreamError);
    assert.throws(() => read({ ok: true }), CodecError);
  }
});

const errors: readonly (readonly [string, Json | undefined, string, string])[] = [
  [
    "Anthropic's",
    { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "r" },
    "Overloaded",
    "overloaded_error",
  ],
  ["an array", [{ error: { message: "no", type: "t" } }], "no", "t"],
  ["a text under error", { error: "no" }, "no", ""],
  ["a message", { message: "no" }, "no", ""],
  ["a detail", { detail: "no" }, "no", ""],
  ["a text", "no", "no", ""],
  [
    "a page",
    "<html><head><style>x{}</style></head><body><h1>502 Bad   Gateway</h1></body></html>",
    "502 Bad Gateway",
    "",
  ],
  ["a number", 3, "", ""],
  ["nothing", undefined, "", ""],
  ["null", null, "", ""],
];

for (const [name, body, message, type] of errors) {
  test(`reads an error that is ${name}`, () => {
    const error = decodeError(body);
    assert.equal(error.message, message);
    assert.equal(error.type, type);
  });
}
