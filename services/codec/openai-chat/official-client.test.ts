import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { createOpenAiChatCodec } from "./openai-chat-codec.ts";
import { createOpenAiEmbedCodec } from "./openai-embed-codec.ts";
import { completeStreams, parallelCallsStream, plainStream } from "./stream-fixtures.ts";

const codec = createOpenAiChatCodec();
const options = { fallbackId: "chatcmpl-x", fallbackCreated: 5, includeUsage: true };

/** OpenAI's own client, which gets `body` for every request. */
function clientOf(body: string, contentType: string): OpenAI {
  return new OpenAI({
    apiKey: "none",
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(body, { headers: { "content-type": contentType } })),
  });
}

function rewrite(text: string): string {
  const decoder = codec.createStreamDecoder();
  const events = [...decoder.push(Buffer.from(text)), ...decoder.end()];
  return Buffer.from(codec.createStreamEncoder(options).encode(events)).toString("utf8");
}

for (const { name, text } of completeStreams) {
  test(`OpenAI's client assembles the rewritten stream of ${name}`, async () => {
    const client = clientOf(rewrite(text), "text/event-stream");
    const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "x" }] });
    const answer = await stream.finalChatCompletion();
    assert.notEqual(answer.choices[0]?.finish_reason, null);
  });
}

test("OpenAI's client reads text, calls and usage of rewritten streams", async () => {
  const read = async (text: string): Promise<OpenAI.ChatCompletion> => {
    const client = clientOf(rewrite(text), "text/event-stream");
    const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "x" }] });
    return await stream.finalChatCompletion();
  };
  const plain = await read(plainStream.text);
  assert.equal(plain.choices[0]?.message.content, 'Grüße, "usage": {😀}');
  assert.equal(plain.usage?.total_tokens, 17);
  const calls = (await read(parallelCallsStream.text)).choices[0]?.message.tool_calls ?? [];
  assert.deepEqual(
    calls.map((call) => (call.type === "function" ? [call.id, call.function.name, call.function.arguments] : [])),
    [
      ["call_a", "f", '{"x":1}'],
      ["call_b", "g", "{}"],
    ],
  );
});

test("OpenAI's client, which asks for base64 by default, reads the vectors", async () => {
  const embed = createOpenAiEmbedCodec();
  const vectors = embed.decodeResponse({ data: [{ index: 0, embedding: [0.5, -1] }] });
  const client = clientOf(JSON.stringify(embed.encodeResponse(vectors, "base64")), "application/json");
  const answer = await client.embeddings.create({ model: "m", input: "x" });
  assert.deepEqual([...(answer.data[0]?.embedding ?? [])], [0.5, -1]);
});
