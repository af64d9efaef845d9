import assert from "node:assert/strict";
import { test } from "node:test";
import { ProviderStreamError } from "../codec.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { assertObserved, decodeRecording, recodeRecording, recordedStream } from "../testing/play-recording.ts";
import { readExchanges } from "../testing/read-recordings.ts";
import { createCohereCodec } from "./cohere-codec.ts";
import { decodeUsage } from "./map-usage.ts";

const codec = createCohereCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

/** The plans of turns that call tools, which the recordings keep apart; here they are text. */
const PLANS: ReadonlyMap<string, string> = new Map([
  ["cohere.v2.chat.stream.94a1b473", "I will use the currentTime tool to find the current time."],
  ["cohere.v2.chat.sync.0e67d394", "I will roll the dice three times."],
]);
/** Whose generation failed with status 200. */
const FAILED = "cohere.v2.chat.stream.b9b1282e";
/** Whose request has documents, which only Cohere cites. */
const CITED = "cohere.v2.chat.sync.e2e6fac9";

const exchanges = readExchanges("cohere/v2.chat");

if (exchanges.length === 0) {
  test("recordings not found: Cohere's recorded answers are not checked", { skip: true }, () => {});
}

for (const exchange of exchanges) {
  const { id, response, derived, request } = exchange;
  if (isJsonObject(request?.body)) {
    const { body } = request;
    test(`translates the recorded request ${id} to itself`, () => {
      if (id === CITED) {
        assert.throws(() => codec.decodeRequest(body), { code: "unsupported_feature", param: "documents" });
        return;
      }
      const decoded = codec.decodeRequest(body);
      const { body: encoded, dropped } = codec.encodeRequest(decoded, {
        model: decoded.model,
        stream: body["stream"] === true,
        defaultMaxOutputTokens: 4096,
      });
      assert.deepEqual(codec.decodeRequest(encoded), decoded);
      assert.deepEqual(dropped, []);
    });
  }
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      assert.equal(codec.decodeError(response.body).message, response.body?.["message"]);
    });
    continue;
  }
  if (id === FAILED) {
    test(`throws the failure out of the recorded stream ${id}`, () => {
      for (const run of [
        () => decodeRecording(codec, exchange),
        () => codec.createStreamObserver({ stripUsage: false }).push(recordedStream(exchange) ?? Buffer.alloc(0)),
      ]) {
        assert.throws(
          run,
          (error) =>
            error instanceof ProviderStreamError && codec.decodeError(error.body).type === "INVALID_TOOL_GENERATION",
        );
      }
    });
    continue;
  }
  test(`decodes the recorded answer ${id}, and its own encoding of it`, () => {
    const answer = decodeRecording(codec, exchange);
    assert.equal(answer.text, derived.text ?? PLANS.get(id) ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      derived.tool_calls ?? [],
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage));
    assert.deepEqual(recodeRecording(codec, exchange, options), answer);
  });
  if (response.sse_text !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      assertObserved(codec, exchange, response.sse_text?.includes("[DONE]"));
    });
  }
}
