import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  type ChatEvent,
  ChatEventSchema,
  ChatRequestSchema,
  ChatResponseSchema,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { EmbedRequestSchema, EmbedResponseSchema } from "#gen/penstock/chat/v1/embed_pb.ts";
import { CodecError } from "../codec.ts";
import {
  decodePenstockChatRequest,
  decodePenstockChatResponse,
  decodePenstockEmbedRequest,
  decodePenstockEmbedResponse,
  encodePenstockChatRequest,
  encodePenstockChatResponse,
  encodePenstockEmbedRequest,
  encodePenstockEmbedResponse,
} from "./penstock-messages.ts";
import { createPenstockStreamDecoder, createPenstockStreamEncoder } from "./penstock-stream.ts";

function textEvent(text: string): ChatEvent {
  return create(ChatEventSchema, { event: { case: "textDelta", value: { text } } });
}

const batches: readonly (readonly ChatEvent[])[] = [
  [create(ChatEventSchema, { event: { case: "start", value: { id: "i", model: "m" } } }), textEvent("Grüße")],
  [textEvent("x".repeat(300))],
  [],
  [textEvent(""), create(ChatEventSchema, { event: { case: "end", value: {} } })],
];

function encodeBatches(): Buffer {
  const encoder = createPenstockStreamEncoder();
  return Buffer.concat(batches.map((events) => encoder.encode(events)));
}

function assertSameEvents(actual: readonly ChatEvent[], expected: readonly ChatEvent[]): void {
  assert.equal(actual.length, expected.length);
  for (const [index, event] of actual.entries()) {
    assert.ok(equals(ChatEventSchema, event, expected[index] ?? create(ChatEventSchema)));
  }
}

test("reads a stream back, cut at every byte", () => {
  const bytes = encodeBatches();
  for (let cut = 0; cut <= bytes.length; cut++) {
    const decoder = createPenstockStreamDecoder();
    const events = [...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut)), ...decoder.end()];
    assertSameEvents(events, batches.flat());
    assert.equal(decoder.pendingBytes, 0);
  }
});

test("reads a stream back however it is cut", () => {
  const bytes = encodeBatches();
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      const borders = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const decoder = createPenstockStreamDecoder();
      const events = borders.slice(1).flatMap((border, index) => decoder.push(bytes.subarray(borders[index], border)));
      assertSameEvents(events, batches.flat());
    }),
  );
});

test("makes no end event for a stream that was cut, and tells what is pending", () => {
  const bytes = encodeBatches();
  const decoder = createPenstockStreamDecoder();
  const events = [...decoder.push(bytes.subarray(0, bytes.length - 1)), ...decoder.end()];
  assert.ok(events.every(({ event }) => event.case !== "end"));
  assert.ok(decoder.pendingBytes > 0);
});

test("refuses messages that are too large, sizes that are none, and other bytes", () => {
  const hasCode = (code: string) => (error: unknown) => error instanceof CodecError && error.code === code;
  assert.throws(() => createPenstockStreamDecoder(100).push(encodeBatches()), hasCode("frame_too_large"));
  const noSize = Buffer.alloc(11, 0xff);
  assert.throws(() => createPenstockStreamDecoder().push(noSize), hasCode("invalid_protobuf"));
  assert.throws(() => createPenstockStreamDecoder().push(Buffer.of(2, 0xff, 0xff)), hasCode("invalid_protobuf"));
});

test("reads back what it writes", () => {
  const request = create(ChatRequestSchema, {
    model: "m",
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: { text: "hi" } } }] }],
  });
  assert.ok(equals(ChatRequestSchema, decodePenstockChatRequest(encodePenstockChatRequest(request)), request));
  const response = create(ChatResponseSchema, { id: "i", candidates: [{ index: 1 }] });
  assert.ok(equals(ChatResponseSchema, decodePenstockChatResponse(encodePenstockChatResponse(response)), response));
  const embed = create(EmbedRequestSchema, { model: "m", inputs: ["a"] });
  assert.ok(equals(EmbedRequestSchema, decodePenstockEmbedRequest(encodePenstockEmbedRequest(embed)), embed));
  const vectors = create(EmbedResponseSchema, { embeddings: [{ values: [0.5] }] });
  assert.ok(equals(EmbedResponseSchema, decodePenstockEmbedResponse(encodePenstockEmbedResponse(vectors)), vectors));
});

test("refuses requests without what is required, and bytes that are no request", () => {
  const hasParam = (param: string | undefined) => (error: unknown) =>
    error instanceof CodecError && error.param === param;
  const chat = (init: Parameters<typeof create<typeof ChatRequestSchema>>[1]): Uint8Array =>
    encodePenstockChatRequest(create(ChatRequestSchema, init));
  assert.throws(() => decodePenstockChatRequest(chat({})), hasParam("model"));
  assert.throws(() => decodePenstockChatRequest(chat({ model: "m" })), hasParam("messages"));
  assert.throws(() => decodePenstockChatRequest(chat({ model: "m", messages: [{}] })), hasParam("messages[0].role"));
  assert.throws(
    () => decodePenstockChatRequest(chat({ model: "m", messages: [{ role: Role.USER, parts: [{}] }] })),
    hasParam("messages[0].parts[0].content"),
  );
  assert.throws(() => decodePenstockChatRequest(Buffer.from("{}")), hasParam(undefined));
  assert.throws(
    () => decodePenstockEmbedRequest(encodePenstockEmbedRequest(create(EmbedRequestSchema, { model: "m" }))),
    hasParam("inputs"),
  );
});
