import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { CodecError, JsonObject } from "../codec.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";
import { createOpenAiChatCodec } from "../openai-chat/openai-chat-codec.ts";
import { type CollectedAnswer, collectEvents, collectResponse } from "../testing/collect-answer.ts";
import { type Exchange, readExchanges, readParallel } from "../testing/read-recordings.ts";
import { mapUsage } from "./map-usage.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";

const codec = createOpenAiResponsesCodec();
const options = { fallbackId: "resp_fallback", fallbackCreated: 1, includeUsage: true };
const requestOptions = { model: "m", stream: false, defaultMaxOutputTokens: 4096 };

/** Requests that use what the provider stores or runs itself. */
const UNTRANSLATABLE = new Set([
  "openai.responses.sync.195ae40d",
  "openai.responses.sync.b105b61a",
  "openai.responses.sync.bbec0b61",
  "xai.responses.sync.69475b25",
]);
/** Ends in an error. */
const FAILED = "openai.responses.stream.e3bf10a2";
/** An output limit cut the arguments of a call. */
const CUT_ARGUMENTS = "openai.responses.stream.b49d3c52";

const exchanges = ["openai", "azure", "xai", "deepseek"].flatMap((provider) => readExchanges(`${provider}/responses`));

if (exchanges.length === 0) {
  test("recordings not found: recorded responses are not checked", { skip: true }, () => {});
}

for (const exchange of exchanges) {
  const { id, response, derived } = exchange;
  if (response.status !== 200) {
    test(`reads the recorded error ${id}`, () => {
      const error = codec.decodeError(response.body);
      const native = asObject(response.body?.["error"]);
      assert.notEqual(error.message, "");
      assert.equal(error.code, asString(native?.["code"]) || asString(response.body?.["code"]));
    });
    continue;
  }
  if (id === FAILED) {
    test(`throws the error of the recorded stream ${id}`, () => {
      assert.throws(() => decodeEvents(Buffer.from(response.sse_text ?? "")), { name: "ProviderStreamError" });
    });
    continue;
  }
  if (id === CUT_ARGUMENTS) {
    test(`keeps what a limit left of the call in the recorded stream ${id}`, () => {
      const events = decodeEvents(Buffer.from(response.sse_text ?? ""));
      const json = events
        .map(({ event }) => (event.case === "toolCallDelta" ? event.value.argumentsJson : ""))
        .join("");
      assert.equal(json, derived.tool_calls?.[0]?.arguments);
      assert.equal(events.at(-2)?.event.case, "finish");
    });
    continue;
  }
  test(`decodes the recorded answer ${id}, and its own encoding of it`, () => {
    const answer = decode(exchange);
    assert.equal(answer.text, derived.text ?? "");
    assert.equal(answer.reasoning, derived.reasoning ?? "");
    const calls = answer.toolCalls.map((call) => ({ name: call.name, arguments: call.arguments }));
    assert.deepEqual(calls, expectedCalls(exchange));
    assert.equal(answer.nativeFinishReason, derived.finish?.replace(/^incomplete:/, ""));
    assert.deepEqual(answer.usage, mapUsage(derived.usage));
    assert.deepEqual(recode(exchange), answer);
  });
  if (response.sse_text !== undefined) {
    test(`decodes and observes the recorded stream ${id} however it is cut`, () => {
      const bytes = Buffer.from(response.sse_text ?? "");
      const answer = decode(exchange);
      for (const size of [1, 7, 1000, bytes.length]) {
        const pieces = cutInto(bytes, size);
        assert.deepEqual(collectEvents(decodeEvents(...pieces)), answer, `in pieces of ${size}`);
        const observer = codec.createStreamObserver({ stripUsage: true });
        assert.deepEqual(Buffer.concat(pieces.map((piece) => observer.push(piece))), bytes);
        assert.equal(observer.complete, true);
        assert.equal(observer.contentSeen, true);
        assert.equal(observer.finishReason, answer.finishReason);
        assert.deepEqual(observer.usage, answer.usage);
        assert.ok(observer.countedOutputTokens > 0);
      }
    });
  } else {
    test(`reads usage and finish of the recorded answer ${id}`, () => {
      const decoded = codec.decodeResponse(response.body ?? {});
      assert.deepEqual(codec.readResponse(response.body ?? {}), {
        usage: decoded.usage,
        finishReason: decoded.candidates[0]?.finishReason,
      });
    });
  }
}

for (const { id, request } of [...exchanges, ...readParallel("openai.responses")]) {
  const body = request?.body;
  if (body === undefined || Object.keys(body).length === 0) {
    continue;
  }
  test(`translates the recorded request ${id} to itself`, () => {
    const named: JsonObject = { model: "m", ...body };
    if (UNTRANSLATABLE.has(id)) {
      assert.throws(
        () => codec.decodeRequest(named),
        (error: CodecError) => error.code === "unsupported_feature",
      );
      return;
    }
    const decoded = codec.decodeRequest(named);
    const encoded = codec.encodeRequest(decoded, { ...requestOptions, model: decoded.model });
    const again = codec.decodeRequest(encoded.body);
    assert.deepEqual(encoded.dropped, []);
    assert.deepEqual(again.messages, decoded.messages);
    const isRefined = decoded.tools.some((tool) => tool.strict === undefined);
    assert.deepEqual(
      { ...again, tools: isRefined ? [] : again.tools },
      { ...decoded, tools: isRefined ? [] : decoded.tools },
    );
  });
}

// Scenarios whose two requests say the same.
const SAME = ["parallelToolCallsRequest.json 1", "toolCallRequest.json 1", "toolChoiceRequiredParam.json 1"];
const chat = createOpenAiChatCodec();
const native = new Map(readParallel("openai.responses").map((step) => [step.id, step.request?.body]));

for (const { id, request } of readParallel("openai.chat.completions")) {
  const expected = native.get(id);
  const body = request?.body;
  if (body === undefined || expected === undefined || !SAME.some((name) => id === `parallel.${name}`)) {
    continue;
  }
  test(`translates the chat completion ${id} to the response that was recorded for it`, () => {
    const { body: encoded } = codec.encodeRequest(chat.decodeRequest(body), { ...requestOptions, model: "gpt-5-nano" });
    const input = asArray(expected["input"]).map((item) => {
      const { status: _, ...rest } = asObject(item) ?? {};
      return rest;
    });
    assert.deepEqual(encoded, { ...expected, input, store: false });
  });
}

function decodeEvents(...pieces: readonly Buffer[]): readonly ChatEvent[] {
  const decoder = codec.createStreamDecoder();
  return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
}

function decode({ response }: Exchange): CollectedAnswer {
  return response.sse_text === undefined
    ? collectResponse(codec.decodeResponse(response.body ?? {}))
    : collectEvents(decodeEvents(Buffer.from(response.sse_text)));
}

function recode({ response }: Exchange): CollectedAnswer {
  if (response.sse_text === undefined) {
    const decoded = codec.decodeResponse(response.body ?? {});
    return collectResponse(codec.decodeResponse(codec.encodeResponse(decoded, options)));
  }
  const bytes = codec.createStreamEncoder(options).encode(decodeEvents(Buffer.from(response.sse_text)));
  return collectEvents(decodeEvents(Buffer.from(bytes)));
}

/** The recorded calls; those of custom tools have text in place of arguments. */
function expectedCalls({ derived }: Exchange): unknown[] {
  return (derived.tool_calls ?? []).map(({ name, arguments: given }) => ({
    name,
    arguments: typeof given === "string" ? { input: given } : given,
  }));
}

function cutInto(bytes: Buffer, size: number): readonly Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += size) {
    pieces.push(bytes.subarray(start, start + size));
  }
  return pieces;
}
