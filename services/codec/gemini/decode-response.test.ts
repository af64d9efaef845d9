import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EmbedRequestSchema } from "#gen/penstock/chat/v1/embed_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { collectResponse } from "../testing/collect-answer.ts";
import { CodecError, type Json, ProviderStreamError } from "../codec.ts";
import { createGeminiCodec, createGeminiEmbedCodec } from "./gemini-codec.ts";
import { mapFinishReason, toFinishReason } from "./map-finish-reason.ts";
import { decodeUsage, encodeUsage } from "./map-usage.ts";

const codec = createGeminiCodec();
const embed = createGeminiEmbedCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

test("counts usage in classes that do not overlap", () => {
  const usage = decodeUsage({
    promptTokenCount: 100,
    toolUsePromptTokenCount: 10,
    cachedContentTokenCount: 60,
    candidatesTokenCount: 5,
    thoughtsTokenCount: 7,
    totalTokenCount: 122,
    promptTokensDetails: [
      { modality: "TEXT", tokenCount: 70 },
      { modality: "AUDIO", tokenCount: 30 },
    ],
    cacheTokensDetails: [{ modality: "AUDIO", tokenCount: 10 }],
  });
  assert.equal(usage?.uncachedInputTokens, 50n);
  assert.equal(usage?.cacheReadTokens, 60n);
  assert.equal(usage?.outputTokens, 12n);
  assert.equal(usage?.reasoningTokens, 7n);
  assert.equal(usage?.audioInputTokens, 20n);
  assert.deepEqual(decodeUsage(encodeUsage(usage)["usageMetadata"]), usage);
  assert.equal(decodeUsage({ trafficType: "ON_DEMAND" }), undefined);
});

test("maps finish reasons both ways", () => {
  const table: readonly (readonly [string, boolean, FinishReason])[] = [
    ["STOP", false, FinishReason.STOP],
    ["STOP", true, FinishReason.TOOL_CALLS],
    ["MAX_TOKENS", true, FinishReason.LENGTH],
    ["MODEL_ARMOR", false, FinishReason.CONTENT_FILTER],
    ["MALFORMED_FUNCTION_CALL", false, FinishReason.ERROR],
    ["BRAND_NEW", false, FinishReason.STOP],
    ["", true, FinishReason.UNSPECIFIED],
    ["FINISH_REASON_UNSPECIFIED", true, FinishReason.UNSPECIFIED],
  ];
  for (const [native, hasCall, finishReason] of table) {
    assert.equal(mapFinishReason(native, hasCall), finishReason, native);
  }
  assert.equal(toFinishReason(FinishReason.CONTENT_FILTER, "SPII"), "SPII");
  assert.equal(toFinishReason(FinishReason.TOOL_CALLS, "tool_use"), "STOP");
  assert.equal(toFinishReason(FinishReason.UNSPECIFIED, ""), undefined);
});

test("gives calls ids that differ between answers and stay the same for one answer", () => {
  const body = (responseId: string): { responseId: string; candidates: Json } => ({
    responseId,
    candidates: [
      { content: { parts: [{ functionCall: { name: "a" } }, { functionCall: { name: "a" } }] }, finishReason: "STOP" },
    ],
  });
  const ids = (responseId: string): string[] =>
    collectResponse(codec.decodeResponse(body(responseId))).toolCalls.map(({ id }) => id);
  assert.deepEqual(ids("r/1"), ["gcall_r-1_0", "gcall_r-1_1"]);
  assert.deepEqual(ids("r/1"), ids("r/1"));
  assert.equal(new Set([...ids("r1"), ...ids("r2"), ...ids("")]).size, 6);
});

test("keeps a signature with its own text", () => {
  const parts = [{ text: "a" }, { text: "b", thoughtSignature: "sig" }, { text: "c" }, { text: "" }];
  const response = codec.decodeResponse({ candidates: [{ content: { parts }, finishReason: "STOP" }] });
  const texts = response.candidates[0]?.message?.parts.map(({ content }) =>
    content.case === "text" ? [content.value.text, content.value.signature] : [],
  );
  assert.deepEqual(texts, [
    ["ab", "sig"],
    ["c", ""],
  ]);
  assert.deepEqual(codec.decodeResponse(codec.encodeResponse(response, options)).candidates, response.candidates);
});

test("takes a blocked prompt and a candidate without parts for empty answers", () => {
  const blocked = codec.decodeResponse({ promptFeedback: { blockReason: "SAFETY" } });
  assert.equal(blocked.candidates[0]?.finishReason, FinishReason.CONTENT_FILTER);
  assert.deepEqual(blocked.candidates[0]?.message?.parts, []);
  const facts = codec.readResponse({ candidates: [{ finishReason: "MODEL_ARMOR" }] });
  assert.equal(facts.finishReason, FinishReason.CONTENT_FILTER);
});

test("throws for an error with status 200 and for a body that is no answer", () => {
  assert.throws(() => codec.decodeResponse({ error: { message: "x" } }), ProviderStreamError);
  assert.throws(() => codec.decodeResponse({ ok: true }), CodecError);
});

test("reads the delay, the reason and the field of an error", () => {
  const limited = codec.decodeError({
    error: {
      code: 429,
      status: "RESOURCE_EXHAUSTED",
      message: "slow down",
      details: [
        { "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [{ quotaId: "RequestsPerDay" }] },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "48.5s" },
      ],
    },
  });
  assert.deepEqual(limited, {
    message: "slow down",
    type: "RESOURCE_EXHAUSTED",
    code: "RequestsPerDay",
    param: "",
    retryDelayMs: 48_500,
  });
  const invalid = codec.decodeError([
    {
      error: {
        status: "INVALID_ARGUMENT",
        message: "bad key",
        details: [
          { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" },
          { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: [{ field: "contents" }] },
        ],
      },
    },
  ]);
  assert.equal(invalid.code, "API_KEY_INVALID");
  assert.equal(invalid.param, "contents");
  for (const body of [undefined, null, 1, [], {}, "text", "<p>page</p>"]) {
    assert.equal(codec.decodeError(body).type, "");
  }
});

test("writes and reads batches of texts and their vectors", () => {
  const request = create(EmbedRequestSchema, { model: "m", inputs: ["a", "b"], dimensions: 3 });
  const { body } = embed.encodeRequest(request, { model: "m" });
  assert.deepEqual(body["requests"], [
    { model: "models/m", content: { parts: [{ text: "a" }] }, outputDimensionality: 3 },
    { model: "models/m", content: { parts: [{ text: "b" }] }, outputDimensionality: 3 },
  ]);
  assert.deepEqual(embed.decodeRequest(body), request);
  const answer = embed.decodeResponse({ embeddings: [{ values: [1, 2] }], usageMetadata: { promptTokenCount: 4 } });
  assert.deepEqual(embed.decodeResponse(embed.encodeResponse(answer)), answer);
  assert.equal(answer.usage?.uncachedInputTokens, 4n);
  assert.equal(embed.readUsage({ embeddings: [] }), undefined);
});

test("refuses batches and vectors that it cannot read", () => {
  const one = { content: { parts: [{ text: "a" }] } };
  for (const body of [
    {},
    { requests: [] },
    { requests: [{}] },
    {
      requests: [
        { ...one, model: "a" },
        { ...one, model: "b" },
      ],
    },
  ]) {
    assert.throws(() => embed.decodeRequest(body), CodecError);
  }
  assert.throws(() => embed.decodeResponse({}), CodecError);
  assert.throws(() => embed.decodeResponse({ embeddings: [{ values: ["x"] }] }), CodecError);
  assert.throws(() => embed.decodeResponse({ error: { message: "x" } }), ProviderStreamError);
});
