import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject } from "../json/json-fields.ts";
import { collectEvents, collectResponse } from "../testing/collect-answer.ts";
import { assertObserved, decodeRecording, recodeRecording, recordedStream } from "../testing/play-recording.ts";
import { readExchanges, readParallel } from "../testing/read-recordings.ts";
import { createAnthropicMessagesCodec } from "../anthropic-messages/anthropic-messages-codec.ts";
import { createBedrockInvokeCodec } from "./bedrock-invoke-codec.ts";
import { createBedrockConverseCodec } from "./bedrock-converse-codec.ts";
import { decodeUsage } from "./map-usage.ts";

const codec = createBedrockConverseCodec();
const options = { fallbackId: "fallback", fallbackCreated: 1, includeUsage: true };

/** Of what only Bedrock has: guardrails, tools that it runs, citations. */
const ONLY_BEDROCK = /guardrailConfig|systemTool/;
/** Bedrock's own tools, which the recordings count among the calls. */
const SERVER_TOOLS = /^nova_/;

const exchanges = ["bedrock/converse", "bedrock/converse-stream"].flatMap(readExchanges);

if (exchanges.length === 0) {
  test("recordings not found: Bedrock's recorded answers are not checked", { skip: true }, () => {});
}

for (const { id, request } of [...exchanges, ...readParallel("bedrock.converse")]) {
  if (!isJsonObject(request?.body)) {
    continue;
  }
  const { body } = request;
  test(`translates the recorded request ${id} to itself`, () => {
    if (ONLY_BEDROCK.test(JSON.stringify(body))) {
      assert.throws(() => codec.decodeRequest(body), { code: "unsupported_feature" });
      return;
    }
    const decoded = codec.decodeRequest(body);
    const { body: encoded, dropped } = codec.encodeRequest(decoded, {
      model: "us.anthropic.claude-sonnet-4-6",
      stream: false,
      defaultMaxOutputTokens: 4096,
    });
    assert.deepEqual(
      dropped.filter((name) => name !== "temperature" && name !== "top_p"),
      [],
    );
    const again = codec.decodeRequest(encoded);
    assert.deepEqual(again.messages.map(plain), decoded.messages.map(plain));
    assert.deepEqual(
      again.tools.map((tool) => tool.name),
      decoded.tools.map((tool) => tool.name),
    );
    assert.deepEqual(again.toolChoice, decoded.toolChoice);
    assert.equal(again.maxOutputTokens, decoded.maxOutputTokens);
  });
}

for (const exchange of exchanges) {
  const { id, response, derived } = exchange;
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      const body = response.body ?? {};
      assert.equal(codec.decodeError(body).message, body["message"] ?? body["Message"]);
    });
    continue;
  }
  test(`decodes the recorded answer ${id}, and its own encoding of it`, () => {
    const answer = decodeRecording(codec, exchange);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      (derived.tool_calls ?? []).filter(({ name }) => !SERVER_TOOLS.test(name)),
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage));
    assert.equal(answer.ended, true);
    assert.deepEqual(recodeRecording(codec, exchange, options), answer);
  });
  if (response.eventstream_base64 !== undefined) {
    test(`observes the recorded stream ${id} as it decodes it`, () => {
      assertObserved(codec, exchange);
    });
  }
}

const invoke = createBedrockInvokeCodec();
for (const exchange of ["bedrock/invoke", "bedrock/invoke-with-response-stream"].flatMap(readExchanges)) {
  const { id, request, response } = exchange;
  // Other models have bodies of their own, and are asked by Converse.
  if (request?.body?.["anthropic_version"] === undefined) {
    continue;
  }
  test(`decodes what Claude answered to InvokeModel ${id}`, () => {
    const decoder = invoke.createStreamDecoder();
    const answer =
      response.eventstream_base64 === undefined
        ? collectResponse(invoke.decodeResponse(response.body ?? {}))
        : collectEvents([...decoder.push(recordedStream(exchange) ?? Buffer.alloc(0)), ...decoder.end()]);
    assert.ok(answer.text !== "" || answer.toolCalls.length > 0);
    assert.ok((answer.usage?.outputTokens ?? 0n) > 0n);
    assert.equal(answer.ended, true);
    if (response.eventstream_base64 !== undefined) {
      const observer = invoke.createStreamObserver({ stripUsage: false });
      const forwarded = Buffer.from(observer.push(recordedStream(exchange) ?? Buffer.alloc(0)));
      const again = createAnthropicMessagesCodec().createStreamDecoder();
      assert.deepEqual(collectEvents(again.push(forwarded)), answer);
      assert.equal(observer.complete, true);
    }
  });
}

/** Ids of calls and names of documents are respelled. */
function plain({ parts, role }: { readonly parts: readonly unknown[]; readonly role: number }): unknown {
  const text = JSON.stringify(parts, (key, value: unknown) =>
    key === "toolCallId" || key === "id" || key === "filename"
      ? "id"
      : value instanceof Uint8Array
        ? value.length
        : value,
  );
  return { role, text };
}
