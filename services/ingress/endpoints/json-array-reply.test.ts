import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { ReplySink } from "../pipeline/gateway-call.ts";
import { JsonArrayReply } from "./json-array-reply.ts";

const failure = gatewayError(ErrorReason.UPSTREAM_TRUNCATED, "It was cut.");

function createReply() {
  const written: string[] = [];
  const sink: ReplySink = {
    head: (head) => void written.push(`head ${head.contentType}\n`),
    body: (bytes) => written.push(Buffer.from(bytes).toString()) < 100,
    onDrain: () => undefined,
    end: (bytes) => void written.push(`${Buffer.from(bytes ?? []).toString()}\nend`),
    fail: (error) => void written.push(`fail ${error.rawMessage}`),
  };
  return { reply: new JsonArrayReply(sink, Dialect.GEMINI, "req_1"), text: () => written.join("") };
}
const events = Buffer.from('data: {"a":1}\r\n\r\ndata: {"b":"é"}\r\n\r\ndata: {"c":3}\r\n\r\n');

test("writes events as elements of an array, however the bytes are cut and wherever they end", () => {
  for (let at = 0; at <= events.length; at += 1) {
    const { reply, text } = createReply();
    assert.equal(reply.body(events.subarray(0, at)), true);
    reply.end(events.subarray(at));
    assert.equal(text(), '[{"a":1},\n{"b":"é"},\n{"c":3}]\nend', `cut at ${at}`);
  }
});

test("sends each element as soon as it is whole", () => {
  const { reply, text } = createReply();
  reply.body(events.subarray(0, 20));
  assert.equal(text(), '[{"a":1}');
  reply.body(events.subarray(20));
  assert.equal(text(), '[{"a":1},\n{"b":"é"},\n{"c":3}');
});

test("is an empty array without events", () => {
  const { reply, text } = createReply();
  reply.end(undefined);
  assert.equal(text(), "[]\nend");
});

test("ends with an error as the last element, and is only an error when nothing came before", () => {
  const begun = createReply();
  begun.reply.body(events.subarray(0, 20));
  begun.reply.fail(failure);
  const [first, last, ...others] = JSON.parse(begun.text().replace(/\nend$/, "")) as readonly {
    readonly a?: number;
    readonly error?: { readonly message: string };
  }[];
  assert.deepEqual([first?.a, last?.error?.message, others.length], [1, "It was cut.", 0]);
  const { reply, text } = createReply();
  reply.fail(failure);
  assert.equal(text(), "fail It was cut.");
});
