import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ChatRequestSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, textPart, toolCallPart, toolResultPart } from "../chat/chat-parts.ts";
import { collectEvents, collectResponse } from "../testing/collect-answer.ts";
import { readExchanges } from "../testing/read-recordings.ts";
import { EmbedRequestSchema } from "#gen/penstock/chat/v1/embed_pb.ts";
import { createPredictEmbedCodec } from "./predict-embed-codec.ts";
import { createVertexClaudeCodec } from "./vertex-claude-codec.ts";
import { createVertexGeminiCodec } from "./vertex-gemini-codec.ts";

const claude = createVertexClaudeCodec();
const gemini = createVertexGeminiCodec();
const options = { model: "m", stream: true, defaultMaxOutputTokens: 100 };
const conversation = create(ChatRequestSchema, {
  messages: [
    message(Role.USER, [textPart("Hello")]),
    message(Role.ASSISTANT, [toolCallPart({ id: "call_1", name: "f", argumentsJson: '{"id":7}' })]),
    message(Role.TOOL, [toolResultPart({ toolCallId: "call_1", parts: [textPart('{"id":8}')] })]),
  ],
});

test("writes Anthropic's body with its version and without the model", () => {
  const { body } = claude.encodeRequest(conversation, options);
  assert.equal(body["anthropic_version"], "vertex-2023-10-16");
  assert.equal("model" in body, false);
  assert.equal(body["stream"], true);
});

test("leaves the ids of calls out of Gemini's body, and nothing that only looks like one", () => {
  const { body } = gemini.encodeRequest(conversation, options);
  const text = JSON.stringify(body["contents"]);
  assert.equal(text.includes("call_1"), false);
  assert.ok(text.includes('"args":{"id":7}'));
  assert.match(text, /"functionResponse":\{"name":"f","response":\{"id":8\}\}/);
});

test("asks for vectors by predict, and counts the tokens of all texts", () => {
  const embed = createPredictEmbedCodec();
  const request = create(EmbedRequestSchema, { model: "x", inputs: ["a", "b"], dimensions: 2, endUserId: "u" });
  assert.deepEqual(embed.encodeRequest(request, { model: "text-embedding-005" }), {
    body: {
      instances: [{ content: "a" }, { content: "b" }],
      parameters: { autoTruncate: false, outputDimensionality: 2 },
    },
    dropped: ["user"],
  });
  const vector = (values: number[], count?: number) => ({
    embeddings: { values, ...(count === undefined ? {} : { statistics: { token_count: count, truncated: false } }) },
  });
  const { embeddings, usage } = embed.decodeResponse({ predictions: [vector([0.5, 1], 3), vector([2, 4], 4)] });
  assert.deepEqual(
    embeddings.map(({ values }) => values),
    [
      [0.5, 1],
      [2, 4],
    ],
  );
  assert.equal(usage?.uncachedInputTokens, 7n);
  assert.equal(embed.readUsage({ predictions: [vector([1], 3), vector([1])] }), undefined);
  assert.throws(() => embed.decodeResponse({ error: { message: "no" } }), { name: "ProviderStreamError" });
  assert.throws(() => embed.decodeResponse({}), { code: "invalid_response" });
  assert.throws(() => embed.decodeRequest({}), { code: "unsupported_feature" });
});

test("reads errors of Anthropic and of Google", () => {
  const google = claude.decodeError({ error: { code: 429, message: "Quota exceeded", status: "RESOURCE_EXHAUSTED" } });
  assert.equal(google.message, "Quota exceeded");
  assert.match(`${google.type} ${google.code}`, /RESOURCE_EXHAUSTED/);
  const own = claude.decodeError({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
  assert.equal(own.type, "overloaded_error");
});

for (const [codec, folders] of [
  [gemini, ["vertex/generateContent", "vertex/streamGenerateContent"]],
  [claude, ["vertex/rawPredict", "vertex/streamRawPredict"]],
] as const) {
  for (const { id, response, derived } of folders.flatMap(readExchanges)) {
    if (response.status === 200) {
      test(`decodes the recorded answer ${id}`, () => {
        const decoder = codec.createStreamDecoder();
        const answer =
          response.sse_text === undefined
            ? collectResponse(codec.decodeResponse(response.body ?? {}))
            : collectEvents([...decoder.push(Buffer.from(response.sse_text)), ...decoder.end()]);
        assert.equal(answer.text, derived.text ?? "");
        assert.equal(answer.nativeFinishReason, derived.finish);
        assert.equal(answer.ended, true);
      });
    }
  }
}
