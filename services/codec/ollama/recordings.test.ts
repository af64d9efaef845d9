import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject } from "../json/json-fields.ts";
import { assertObserved, decodeRecording, recodeRecording } from "../testing/play-recording.ts";
import { readExchanges } from "../testing/read-recordings.ts";
import { decodeUsage } from "./map-usage.ts";
import { createOllamaCodec, createOllamaEmbedCodec } from "./ollama-codec.ts";

const codec = createOllamaCodec();
const embed = createOllamaEmbedCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

const exchanges = readExchanges("ollama/api.chat");

if (exchanges.length === 0) {
  test("recordings not found: Ollama's recorded answers are not checked", { skip: true }, () => {});
}

for (const exchange of exchanges) {
  const { id, response, derived, request } = exchange;
  if (isJsonObject(request?.body)) {
    const { body } = request;
    test(`translates the recorded request ${id} to itself`, () => {
      const decoded = codec.decodeRequest(body);
      const { body: encoded, dropped } = codec.encodeRequest(decoded, {
        model: decoded.model,
        stream: body["stream"] !== false,
        defaultMaxOutputTokens: 4096,
      });
      assert.deepEqual(codec.decodeRequest(encoded), decoded);
      assert.deepEqual(dropped, []);
    });
  }
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      assert.equal(codec.decodeError(response.body).message, response.body?.["error"]);
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
    assert.deepEqual(answer.usage, decodeUsage(derived.usage ?? {}));
    assert.equal(answer.ended, true);
    assert.deepEqual(recodeRecording(codec, exchange, options), answer);
  });
  if (response.ndjson_text !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      assertObserved(codec, exchange);
    });
  }
}

for (const { id, request, response } of readExchanges("ollama/api.embed")) {
  test(`reads the recorded vectors ${id}`, () => {
    assert.equal(embed.decodeRequest(request?.body ?? {}).inputs.length, 1);
    const decoded = embed.decodeResponse(response.body ?? {});
    assert.equal(decoded.embeddings[0]?.values.length, 768);
    assert.deepEqual(embed.decodeResponse(embed.encodeResponse(decoded)), decoded);
  });
}
