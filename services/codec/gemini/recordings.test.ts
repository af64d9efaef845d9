import assert from "node:assert/strict";
import { test } from "node:test";
import { assertObserved, decodeRecording, recodeRecording } from "../testing/play-recording.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { readExchanges, readParallel } from "../testing/read-recordings.ts";
import type { CodecError } from "../codec.ts";
import { createGeminiCodec, createGeminiEmbedCodec } from "./gemini-codec.ts";
import { decodeUsage } from "./map-usage.ts";

const codec = createGeminiCodec();
const responseOptions = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

/** Streams whose arguments came in pieces, which the recordings leave unassembled: what the pieces give. */
const ASSEMBLED_ARGUMENTS: ReadonlyMap<string, readonly unknown[]> = new Map([
  ["gemini.streamGenerateContent.stream.1c63494b", [{}, { id: "A" }, { id: "B" }, { id: "C" }]],
]);

/** Requests that use what only Gemini has, by the code they are refused with. */
const UNTRANSLATABLE: ReadonlyMap<string, string> = new Map([
  // Only tools that Gemini itself runs: searching, reading addresses, running code. Beside others they are left out.
  ["gemini.generateContent.sync.19e554e4", "unsupported_feature"],
  ["gemini.generateContent.sync.1e315b22", "unsupported_feature"],
  ["gemini.streamGenerateContent.stream.732461cf", "unsupported_feature"],
]);

const exchanges = [
  "gemini/generateContent",
  "gemini/streamGenerateContent",
  "vertex/generateContent",
  "vertex/streamGenerateContent",
].flatMap(readExchanges);

if (exchanges.length === 0) {
  test("recordings not found: Gemini's recorded answers are not checked", { skip: true }, () => {});
}

for (const exchange of exchanges) {
  const { id, response, derived } = exchange;
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      const body = response.body ?? JSON.parse((response.sse_text ?? "").replace(/^data: /, ""));
      const error = codec.decodeError(body);
      assert.notEqual(error.message, "");
      assert.notEqual(error.type, "");
    });
    continue;
  }
  test(`decodes the recorded answer ${id}, and its own encoding of it`, () => {
    const answer = decodeRecording(codec, exchange);
    const assembled = ASSEMBLED_ARGUMENTS.get(id);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      (derived.tool_calls ?? []).map((call, index) =>
        assembled === undefined ? call : { ...call, arguments: assembled[index] },
      ),
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage));
    assert.deepEqual(recodeRecording(codec, exchange, responseOptions), answer);
  });
  if (response.sse_text !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      assertObserved(codec, exchange);
    });
  }
}

for (const { id, request } of [...exchanges, ...readParallel("gemini.generateContent")]) {
  const body = request?.body;
  if (!isJsonObject(body)) {
    continue;
  }
  test(`translates the recorded request ${id} to itself`, () => {
    const expected = UNTRANSLATABLE.get(id);
    if (expected !== undefined) {
      assert.throws(
        () => codec.decodeRequest(body),
        (error: CodecError) => error.code === expected,
      );
      return;
    }
    const decoded = codec.decodeRequest(body);
    const { body: encoded } = codec.encodeRequest(decoded, {
      model: "gemini-2.5-flash",
      stream: false,
      defaultMaxOutputTokens: 4096,
    });
    const again = codec.decodeRequest(encoded);
    assert.deepEqual(again.messages, decoded.messages);
    assert.deepEqual(again.tools, decoded.tools);
    assert.deepEqual(again.responseFormat, decoded.responseFormat);
    assert.deepEqual(again.toolChoice, decoded.toolChoice);
  });
}

for (const { id, response } of readExchanges("gemini/batchEmbedContents")) {
  test(`reads the recorded vectors ${id}`, () => {
    const embed = createGeminiEmbedCodec();
    const decoded = embed.decodeResponse(response.body ?? {});
    assert.ok((decoded.embeddings[0]?.values.length ?? 0) > 100);
    assert.equal(embed.readUsage(response.body ?? {})?.uncachedInputTokens, 261n);
  });
}
