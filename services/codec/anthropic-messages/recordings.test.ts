import assert from "node:assert/strict";
import { test } from "node:test";
import type { CodecError, JsonObject } from "../codec.ts";
import { createAnthropicMessagesCodec } from "./anthropic-messages-codec.ts";
import { assertObserved, decodeRecording, recodeRecording } from "../testing/play-recording.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { decodeUsage } from "./map-usage.ts";
import { readExchanges, readParallel } from "../testing/read-recordings.ts";

const codec = createAnthropicMessagesCodec();
const responseOptions = { fallbackId: "msg_fallback", fallbackCreated: 1, includeUsage: true };
const requestOptions = { model: "claude-sonnet-4-5", stream: false, defaultMaxOutputTokens: 4096 };

/** Requests that use what only Anthropic has, or that Anthropic refused, by the code they are refused with. */
const UNTRANSLATABLE: ReadonlyMap<string, string> = new Map([
  // A message that is a string, which Anthropic refused.
  ["anthropic.messages.error.a212d9fe", "invalid_type"],
  // A schema in OpenAI's shape, which Anthropic refused.
  ["anthropic.messages.error.d2a2100d", "missing_required_parameter"],
  // Tools that Anthropic's own servers run: code execution, computer use, the advisor; and a container for files.
  ["anthropic.messages.stream.46997659", "unsupported_feature"],
  ["anthropic.messages.stream.9f267d5c", "unsupported_feature"],
  ["anthropic.messages.stream.fef81c69", "unsupported_feature"],
  ["anthropic.messages.sync.8fd8220e", "unsupported_feature"],
]);

const exchanges = ["anthropic/messages", "vertex/rawPredict", "vertex/streamRawPredict"].flatMap(readExchanges);

if (exchanges.length === 0) {
  test("recordings not found: Anthropic's recorded answers are not checked", { skip: true }, () => {});
}

for (const exchange of exchanges) {
  const { id, response, derived } = exchange;
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      const error = codec.decodeError(response.body);
      assert.notEqual(error.message, "");
    });
    continue;
  }
  test(`decodes the recorded answer ${id}, and its own encoding of it`, () => {
    const answer = decodeRecording(codec, exchange);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      derived.tool_calls ?? [],
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage));
    assert.deepEqual(recodeRecording(codec, exchange, responseOptions, checkOrder), answer);
  });
  if (response.sse_text !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      assertObserved(codec, exchange);
    });
  }
}

for (const { id, request } of [...exchanges, ...readParallel("anthropic.messages")]) {
  const body = request?.body;
  if (!isJsonObject(body)) {
    continue;
  }
  // Vertex names the model in the URL.
  const named: JsonObject = { model: "claude-sonnet-4-5", ...body };
  test(`translates the recorded request ${id} to itself`, () => {
    const expected = UNTRANSLATABLE.get(id);
    if (expected !== undefined) {
      assert.throws(
        () => codec.decodeRequest(named),
        (error: CodecError) => error.code === expected,
      );
      return;
    }
    const decoded = codec.decodeRequest(named);
    const encoded = codec.encodeRequest(decoded, {
      ...requestOptions,
      model: decoded.model,
      stream: named["stream"] === true,
    });
    assert.deepEqual(codec.decodeRequest(encoded.body).messages, decoded.messages);
    assert.deepEqual(codec.decodeRequest(encoded.body).tools, decoded.tools);
  });
}

/** Blocks follow one another, each begun and ended, between the beginning and the end of the message. */
function checkOrder(bytes: Uint8Array): void {
  const types = createSseDecoder()
    .push(bytes)
    .map(({ event }) => event.replace("content_block_", ""));
  assert.match(types.join(" "), /^message_start (start (delta )*stop )*message_delta message_stop$/);
}
