import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject } from "../json/json-fields.ts";
import { type CollectedAnswer, collectEvents, collectResponse } from "../testing/collect-answer.ts";
import { type Exchange, readExchanges } from "../testing/read-recordings.ts";
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
    const answer = decode(exchange);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      derived.tool_calls ?? [],
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage ?? {}));
    assert.equal(answer.ended, true);
    assert.deepEqual(recode(exchange), answer);
  });
  if (response.ndjson_text !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      const observer = codec.createStreamObserver({ stripUsage: false });
      const bytes = bytesOf(exchange);
      const forwarded = [bytes.subarray(0, 700), bytes.subarray(700)].map((piece) => observer.push(piece));
      const answer = decode(exchange);
      assert.deepEqual(Buffer.concat(forwarded), bytes);
      assert.equal(observer.complete, true);
      assert.equal(observer.finishReason, answer.finishReason);
      assert.deepEqual(observer.usage, answer.usage);
      assert.ok(observer.countedOutputTokens > 0);
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

function bytesOf({ response }: Exchange): Buffer {
  return Buffer.from(response.ndjson_text ?? "");
}

function decode(exchange: Exchange): CollectedAnswer {
  if (exchange.response.ndjson_text === undefined) {
    return collectResponse(codec.decodeResponse(exchange.response.body ?? {}));
  }
  const decoder = codec.createStreamDecoder();
  return collectEvents([...decoder.push(bytesOf(exchange)), ...decoder.end()]);
}

function recode(exchange: Exchange): CollectedAnswer {
  if (exchange.response.ndjson_text === undefined) {
    const decoded = codec.decodeResponse(exchange.response.body ?? {});
    return collectResponse(codec.decodeResponse(codec.encodeResponse(decoded, options)));
  }
  const decoder = codec.createStreamDecoder();
  const again = codec.createStreamDecoder();
  const bytes = codec.createStreamEncoder(options).encode([...decoder.push(bytesOf(exchange)), ...decoder.end()]);
  return collectEvents([...again.push(bytes), ...again.end()]);
}
