import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ChatEventSchema, ChatRequestSchema, ChatResponseSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { EmbedResponseSchema } from "#gen/penstock/chat/v1/embed_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { createCallerCodec, parseJsonBody } from "./callers.ts";
import { CodecError } from "./codec.ts";
import { createOpenAiChatCodec, createOpenAiEmbedCodec } from "./openai-chat/openai-chat-codec.ts";
import { decodePenstockChatResponse, encodePenstockChatRequest } from "./penstock/penstock-messages.ts";
import { createPenstockStreamDecoder } from "./penstock/penstock-stream.ts";

const chat = new Map([[Dialect.OPENAI_CHAT, createOpenAiChatCodec()]]);
const embed = new Map([[Dialect.OPENAI_CHAT, createOpenAiEmbedCodec()]]);
const options = { fallbackId: "i", fallbackCreated: 1, includeUsage: false };
const openAi = createCallerCodec(Dialect.OPENAI_CHAT, chat, embed);
const typed = createCallerCodec(Dialect.PENSTOCK, chat, embed);

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof CodecError && error.code === code;
}

test("speaks JSON to callers of a JSON dialect", () => {
  const body = Buffer.from('{"model":"m","messages":[{"role":"user","content":"é"}]}');
  assert.equal(openAi.decodeChatRequest(body).model, "m");
  const answer = openAi.encodeChatResponse(create(ChatResponseSchema, { id: "x" }), options);
  assert.match(answer.contentType, /^application\/json/);
  assert.equal(JSON.parse(Buffer.from(answer.body).toString()).id, "x");
  assert.match(openAi.streamContentType, /^text\/event-stream/);
  const vectors = create(EmbedResponseSchema, { embeddings: [{ values: [1] }] });
  const written = (format?: string): unknown =>
    JSON.parse(Buffer.from(openAi.encodeEmbedResponse(vectors, format).body).toString()).data[0].embedding;
  assert.deepEqual(written(), [1]);
  assert.equal(written("base64"), "AACAPw==");
  assert.deepEqual(openAi.decodeEmbedRequest(Buffer.from('{"model":"m","input":"a"}')).inputs, ["a"]);
});

test("speaks protobuf to typed callers", () => {
  const request = create(ChatRequestSchema, { model: "m", messages: [{ role: Role.USER }] });
  assert.equal(typed.decodeChatRequest(encodePenstockChatRequest(request)).model, "m");
  const { body } = typed.encodeChatResponse(create(ChatResponseSchema, { id: "x" }), options);
  assert.equal(decodePenstockChatResponse(body).id, "x");
  const end = create(ChatEventSchema, { event: { case: "end", value: {} } });
  const bytes = typed.createChatStreamEncoder(options).encode([end]);
  assert.equal(createPenstockStreamDecoder().push(bytes)[0]?.event.case, "end");
});

test("refuses bodies that are not JSON objects", () => {
  assert.throws(() => parseJsonBody(Buffer.from('{"a":')), hasCode("invalid_json"));
  assert.throws(() => parseJsonBody(Buffer.from("")), hasCode("invalid_json"));
  assert.throws(
    () => parseJsonBody(Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')])),
    hasCode("invalid_json"),
  );
  for (const text of ["[]", '"x"', "1", "null"]) {
    assert.throws(() => parseJsonBody(Buffer.from(text)), hasCode("invalid_type"));
  }
});

test("refuses dialects that have no codec", () => {
  assert.throws(() => createCallerCodec(Dialect.GEMINI, chat, embed), hasCode("unsupported_feature"));
  const withoutVectors = createCallerCodec(Dialect.OPENAI_CHAT, chat, new Map());
  assert.throws(() => withoutVectors.decodeEmbedRequest(Buffer.from("{}")), hasCode("unsupported_feature"));
});
