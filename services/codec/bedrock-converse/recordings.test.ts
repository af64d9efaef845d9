import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject } from "../json/json-fields.ts";
import { type CollectedAnswer, collectEvents, collectResponse } from "../testing/collect-answer.ts";
import { type Exchange, readExchanges, readParallel } from "../testing/read-recordings.ts";
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
    const answer = decode(exchange);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    assert.deepEqual(
      answer.toolCalls.map(({ name, arguments: args }) => ({ name, arguments: args })),
      (derived.tool_calls ?? []).filter(({ name }) => !SERVER_TOOLS.test(name)),
    );
    assert.equal(answer.nativeFinishReason, derived.finish ?? "");
    assert.deepEqual(answer.usage, decodeUsage(derived.usage));
    assert.equal(answer.ended, true);
    assert.deepEqual(recode(exchange), answer);
  });
  if (response.eventstream_base64 !== undefined) {
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
        : collectEvents([...decoder.push(bytesOf(exchange)), ...decoder.end()]);
    assert.ok(answer.text !== "" || answer.toolCalls.length > 0);
    assert.ok((answer.usage?.outputTokens ?? 0n) > 0n);
    assert.equal(answer.ended, true);
    if (response.eventstream_base64 !== undefined) {
      const observer = invoke.createStreamObserver({ stripUsage: false });
      const forwarded = Buffer.from(observer.push(bytesOf(exchange)));
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

function bytesOf({ response }: Exchange): Buffer {
  return Buffer.from(response.eventstream_base64 ?? "", "base64");
}

function decode(exchange: Exchange): CollectedAnswer {
  if (exchange.response.eventstream_base64 === undefined) {
    return collectResponse(codec.decodeResponse(exchange.response.body ?? {}));
  }
  const decoder = codec.createStreamDecoder();
  return collectEvents([...decoder.push(bytesOf(exchange)), ...decoder.end()]);
}

function recode(exchange: Exchange): CollectedAnswer {
  if (exchange.response.eventstream_base64 === undefined) {
    const decoded = codec.decodeResponse(exchange.response.body ?? {});
    return collectResponse(codec.decodeResponse(codec.encodeResponse(decoded, options)));
  }
  const decoder = codec.createStreamDecoder();
  const again = codec.createStreamDecoder();
  const bytes = codec.createStreamEncoder(options).encode([...decoder.push(bytesOf(exchange)), ...decoder.end()]);
  return collectEvents([...again.push(bytes), ...again.end()]);
}
