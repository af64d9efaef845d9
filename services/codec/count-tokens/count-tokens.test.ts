import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ChatRequestSchema } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError } from "../codec.ts";
import { createAnthropicCountCodec, createGeminiCountCodec } from "./count-tokens-codec.ts";
import { listTexts } from "./list-texts.ts";

const anthropic = createAnthropicCountCodec();
const gemini = createGeminiCountCodec({ wrapped: true });
const vertex = createGeminiCountCodec({ wrapped: false });
const question = {
  model: "m",
  system: "Be brief.",
  messages: [{ role: "user", content: "Hi" }],
  tools: [{ name: "f", description: "does", input_schema: { type: "object", properties: {} } }],
};
const contents = [{ role: "user", parts: [{ text: "Hi" }] }];

test("asks without what only an answer needs", () => {
  const request = anthropic.decodeRequest(question);
  const toAnthropic = anthropic.encodeRequest(request, { model: "c" }).body;
  assert.deepEqual(Object.keys(toAnthropic).toSorted(), ["messages", "model", "system", "tools"]);
  const toGemini = gemini.encodeRequest(request, { model: "g" }).body["generateContentRequest"];
  assert.deepEqual(Object.keys(toGemini ?? {}).toSorted(), ["contents", "model", "systemInstruction", "tools"]);
});

test("asks Vertex without the member that only the Gemini API knows", () => {
  const body = vertex.encodeRequest(anthropic.decodeRequest(question), { model: "g" }).body;
  assert.deepEqual(Object.keys(body).toSorted(), ["contents", "systemInstruction", "tools"]);
  assert.deepEqual(
    [gemini, vertex].map((codec) => [codec.takes({ contents }), codec.takes({ generate_content_request: {} })]),
    [
      [true, true],
      [true, false],
    ],
  );
});

test("reads both forms of Google's question", () => {
  for (const body of [
    { contents },
    { generateContentRequest: { model: "models/x", contents, generationConfig: { temperature: 0 } } },
    { generate_content_request: { contents } },
  ]) {
    assert.equal(gemini.decodeRequest(body).messages.length, 1);
  }
  assert.throws(() => gemini.decodeRequest({}), CodecError);
});

test("reads and writes counts, and nothing that is none", () => {
  assert.equal(anthropic.decodeResponse({ input_tokens: 36 }), 36);
  assert.equal(gemini.decodeResponse({ totalTokens: 9, promptTokensDetails: [] }), 9);
  assert.equal(gemini.decodeResponse({}), 0);
  for (const body of [{}, { input_tokens: -1 }, { input_tokens: "1" }, { input_tokens: 1.5 }]) {
    assert.throws(() => anthropic.decodeResponse(body), CodecError);
  }
  assert.deepEqual(anthropic.encodeResponse(3), { input_tokens: 3 });
  assert.deepEqual(gemini.encodeResponse(3), { totalTokens: 3 });
});

test("lists everything that is text, and counts what is not", () => {
  const request = anthropic.decodeRequest({
    ...question,
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "image", source: { type: "url", url: "u" } },
        ],
      },
      { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: { a: 1 } }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "done" }] },
    ],
  });
  const { texts, otherTokens } = listTexts(request);
  for (const text of ["Be brief.", "Look", "f", "done", "does"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.ok(otherTokens > 1_000);
  assert.deepEqual(listTexts(create(ChatRequestSchema)), { texts: [], otherTokens: 0 });
});
