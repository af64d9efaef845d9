import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import OpenAI from "openai";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, finishEvent, startEvent, toolCallDelta, toolCallStart } from "../chat/chat-events.ts";
import type { JsonObject } from "../codec.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";
import { failedStreams, streamFixtures } from "./stream-fixtures.ts";

const codec = createOpenAiResponsesCodec();
const options = { fallbackId: "chatcmpl-x", fallbackCreated: 5, includeUsage: true };

/** OpenAI's own client, whose server answers every request with `body` in small pieces. */
async function clientOf(context: TestContext, body: Uint8Array, contentType: string): Promise<OpenAI> {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": contentType });
    for (let at = 0; at < body.length; at += 100) {
      response.write(body.subarray(at, at + 100));
    }
    response.end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  context.after(() => server.close());
  // A server that listens on a port has an address of this form.
  const { port } = server.address() as AddressInfo;
  return new OpenAI({ apiKey: "none", maxRetries: 0, baseURL: `http://127.0.0.1:${port}/v1` });
}

function decode(bytes: Uint8Array): readonly ChatEvent[] {
  const decoder = codec.createStreamDecoder();
  return [...decoder.push(bytes), ...decoder.end()];
}

async function assemble(context: TestContext, events: readonly ChatEvent[]): Promise<OpenAI.Responses.Response> {
  const bytes = codec.createStreamEncoder(options).encode(events);
  const client = await clientOf(context, bytes, "text/event-stream");
  return await client.responses.stream({ model: "m", input: "x" }).finalResponse();
}

function outputOf(response: OpenAI.Responses.Response): unknown[] {
  return response.output.flatMap((item): unknown[] => {
    switch (item.type) {
      case "message":
        return item.content.map((part) => (part.type === "refusal" ? { refusal: part.refusal } : { text: part.text }));
      case "function_call":
        return [{ call: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) as unknown }];
      case "reasoning":
        return [{ summary: item.summary.map((part) => part.text), encrypted: item.encrypted_content }];
      default:
        return [];
    }
  });
}

for (const { name, bytes, expected } of streamFixtures) {
  test(`OpenAI's client assembles the rewritten stream of ${name}`, async (context) => {
    const response = await assemble(context, decode(bytes));
    const calls = response.output.flatMap((item) =>
      item.type === "function_call"
        ? [{ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) as unknown }]
        : [],
    );
    assert.equal(response.output_text, expected.text);
    assert.deepEqual(calls, expected.toolCalls);
    assert.equal(response.usage?.total_tokens, 17);
    assert.equal(response.usage.input_tokens_details.cached_tokens, 4);
    assert.ok(response.output.every((item) => !("status" in item) || item.status !== "in_progress"));
  });
}

test("OpenAI's client reads thoughts, calls and their order", async (context) => {
  const fixture = streamFixtures.find(({ name }) => name === "a thought and parallel calls");
  const response = await assemble(context, decode(fixture?.bytes ?? Buffer.alloc(0)));
  assert.deepEqual(outputOf(response), [
    { summary: ["First.\n\nSecond."], encrypted: "enc==" },
    { call: "call_a", name: "f", arguments: { x: 1 } },
    { call: "call_b", name: "g", arguments: {} },
  ]);
});

test("OpenAI's client reads calls whose arguments come interleaved", async (context) => {
  const response = await assemble(context, [
    startEvent("resp_1", "m"),
    toolCallStart(0, 0, { id: "a", name: "one" }),
    toolCallDelta(0, 0, '{"x":'),
    toolCallStart(0, 1, { id: "b", name: "two" }),
    toolCallDelta(0, 1, '{"y":2}'),
    toolCallDelta(0, 0, "1}"),
    finishEvent(0, FinishReason.TOOL_CALLS, "tool_calls"),
    endEvent(undefined),
  ]);
  assert.deepEqual(outputOf(response), [
    { call: "a", name: "one", arguments: { x: 1 } },
    { call: "b", name: "two", arguments: { y: 2 } },
  ]);
});

test("OpenAI's client does not take a stream that was cut for a complete answer", async (context) => {
  const events = decode(streamFixtures[0]?.bytes ?? Buffer.alloc(0)).slice(0, -2);
  const response = await assemble(context, events);
  assert.equal(response.status, "in_progress");
  assert.notEqual(response.output_text, "");
});

test("OpenAI's client throws for a stream that ends with an error", async (context) => {
  for (const fixture of failedStreams.slice(0, 2)) {
    const client = await clientOf(context, fixture.bytes, "text/event-stream");
    await assert.rejects(client.responses.stream({ model: "m", input: "x" }).finalResponse(), { code: "c" });
  }
});

/** The fields that a response must have. `output_text` is the client's own. */
type RequiredField<T> = { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];
const REQUIRED = {
  id: true,
  access_programs: true,
  created_at: true,
  error: true,
  incomplete_details: true,
  instructions: true,
  metadata: true,
  model: true,
  object: true,
  output: true,
  output_text: true,
  parallel_tool_calls: true,
  temperature: true,
  tool_choice: true,
  tools: true,
  top_p: true,
} as const satisfies Record<RequiredField<OpenAI.Responses.Response>, true>;

test("OpenAI's client reads a complete answer, which has all that it requires", async (context) => {
  const output: readonly JsonObject[] = [
    { type: "reasoning", summary: [{ type: "summary_text", text: "Hm" }], encrypted_content: "e==" },
    { type: "message", content: [{ type: "output_text", text: "Grüße" }] },
    { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
  ];
  const decoded = codec.decodeResponse({ id: "resp_1", created_at: 7, model: "m", status: "completed", output });
  const body = Buffer.from(JSON.stringify(codec.encodeResponse(decoded, options)));
  const client = await clientOf(context, body, "application/json");
  const response = await client.responses.create({ model: "m", input: "x" });
  assert.equal(response.output_text, "Grüße");
  assert.deepEqual(outputOf(response), [
    { summary: ["Hm"], encrypted: "e==" },
    { text: "Grüße" },
    { call: "c", name: "f", arguments: {} },
  ]);
  for (const field of Object.keys(REQUIRED)) {
    assert.ok(field in response, field);
  }
});
