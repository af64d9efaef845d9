import assert from "node:assert/strict";
import { test } from "node:test";
import { ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";
import { create } from "@bufbuild/protobuf";
import {
  ConnectorEndSchema,
  type ConnectorEvent,
  ConnectorHeadSchema,
} from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { createOpenAiChatCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import { parseErrorBody } from "./attempt-failures.ts";
import { AttemptStream } from "./attempt-stream.ts";
import { ForwardStream } from "./forward-stream.ts";
import { failureOfStatus } from "./map-provider-error.ts";
import { maskSecrets } from "./mask-secrets.ts";
import { parseRetryAfter } from "./parse-retry-after.ts";

const now = Date.parse("2026-01-01T00:00:00Z");

test("reads every form of retry-after, and is never negative or NaN", () => {
  const cases: readonly (readonly [Record<string, string | string[]>, number | undefined])[] = [
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after-ms": "250" }, 250],
    [{ "retry-after": "Thu, 01 Jan 2026 00:00:30 GMT" }, 30_000],
    [{ "retry-after": "Thu, 01 Jan 2025 00:00:30 GMT" }, 0],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "-5" }, 0],
    [{ "retry-after": "abc" }, undefined],
    [{ "retry-after": "1000000000" }, 600_000],
    [{ "retry-after": ["3", "9"] }, 9_000],
    [{ "retry-after": "3, 9" }, 9_000],
    [{ "retry-after": "1", "retry-after-ms": "2500" }, 2_500],
    [{}, undefined],
  ];
  for (const [headers, expected] of cases) {
    assert.equal(parseRetryAfter(headers, now), expected, JSON.stringify(headers));
  }
});

test("masks keys, tokens, addresses and the account's own secrets", () => {
  const masked = maskSecrets(
    "Incorrect key sk-abcdefgh12345678 or AIzaSyA1234567890abcdefg for Bearer abc.def.ghi_jkl at 10.0.0.7:8080, hunter2!",
    ["hunter2!"],
  );
  for (const secret of ["sk-abcdefgh", "AIza", "abc.def", "10.0.0.7", "hunter2"]) {
    assert.ok(!masked.includes(secret), `${secret} is in: ${masked}`);
  }
  assert.equal(maskSecrets("The model is overloaded.", []), "The model is overloaded.");
});

test("sorts answers with an error status by what can be done about them", () => {
  const decoded = (more: Partial<Record<"message" | "type" | "code", string>>) => ({
    message: "",
    type: "",
    code: "",
    param: "",
    retryDelayMs: undefined,
    ...more,
  });
  const cases: readonly (readonly [number, Parameters<typeof decoded>[0], ProviderErrorClass, boolean])[] = [
    [400, {}, ProviderErrorClass.INVALID_REQUEST, false],
    [400, { code: "context_length_exceeded" }, ProviderErrorClass.CONTEXT_LENGTH, false],
    [400, { message: "prompt is too long: 300000 tokens" }, ProviderErrorClass.CONTEXT_LENGTH, false],
    [400, { code: "content_filter" }, ProviderErrorClass.CONTENT_FILTER, false],
    [400, { code: "API_KEY_INVALID" }, ProviderErrorClass.AUTH, false],
    [401, {}, ProviderErrorClass.AUTH, false],
    [404, {}, ProviderErrorClass.MODEL_NOT_FOUND, false],
    [429, {}, ProviderErrorClass.RATE_LIMITED, false],
    [429, { code: "insufficient_quota" }, ProviderErrorClass.QUOTA, false],
    [429, { code: "GenerateRequestsPerDayPerProjectPerModel" }, ProviderErrorClass.QUOTA, false],
    [429, { code: "GenerateRequestsPerMinutePerProjectPerModel" }, ProviderErrorClass.RATE_LIMITED, false],
    [400, { message: "Your credit balance is too low" }, ProviderErrorClass.QUOTA, false],
    [500, {}, ProviderErrorClass.SERVER, true],
    [498, {}, ProviderErrorClass.OVERLOADED, false],
    [503, {}, ProviderErrorClass.OVERLOADED, false],
    [529, { type: "overloaded_error" }, ProviderErrorClass.OVERLOADED, false],
    [504, {}, ProviderErrorClass.TIMEOUT, true],
    [302, {}, ProviderErrorClass.MALFORMED, false],
  ];
  for (const [status, error, errorClass, mayHaveBilled] of cases) {
    const failure = failureOfStatus(status, {}, decoded(error), now);
    assert.equal(failure.errorClass, errorClass, `${status} ${JSON.stringify(error)}`);
    assert.equal(failure.mayHaveBilled, mayHaveBilled, `${status} ${JSON.stringify(error)}`);
  }
});

test("reads an error that comes as an event, and nothing in an error page", () => {
  const read = (text: string) => parseErrorBody([new TextEncoder().encode(text)]);
  const error = { error: { code: 404, message: "no such model" } };
  assert.deepEqual(read(JSON.stringify(error)), error);
  assert.deepEqual(read(JSON.stringify(error, undefined, 2)), error);
  assert.deepEqual(read(`data: ${JSON.stringify(error)}\r\n\r\n`), error);
  assert.equal(read("<html>data: none</html>"), undefined);
});

test("ends a forwarded stream with the blank line that its final marker needs, wherever the bytes were cut", () => {
  const chunk = 'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}';
  for (const lineEnd of ["\n", "\r\n"]) {
    const whole = `${chunk}${lineEnd}${lineEnd}data: [DONE]${lineEnd}${lineEnd}`;
    for (let cut = 1; cut < whole.length; cut++) {
      const reader = new ForwardStream({
        observer: createOpenAiChatCodec().createStreamObserver({ stripUsage: false }),
        hasFinalMarker: true,
        inputBytes: 1,
      });
      let forwarded = "";
      for (const piece of [whole.slice(0, cut), whole.slice(cut)]) {
        if (!reader.over) {
          forwarded += Buffer.from(reader.push(Buffer.from(piece))).toString();
        }
      }
      forwarded += Buffer.from(reader.finish()?.bytes ?? []).toString();
      assert.match(forwarded, /data: \[DONE\](?:\r?\n){2}$/, `cut at ${cut}`);
    }
  }
});

const body = (text: string): ConnectorEvent => ({
  $typeName: "penstock.connector.v1.ConnectorEvent",
  event: { case: "body", value: new TextEncoder().encode(text) },
});
const source = () => {
  const calls: string[] = [];
  return {
    calls,
    abort: () => void calls.push("abort"),
    pause: () => void calls.push("pause"),
    resume: () => void calls.push("resume"),
  };
};

test("gives what was pushed since the last pull as one message, then the error", async () => {
  const stream = new AttemptStream();
  stream.push(body("a"));
  stream.push(body("b"));
  stream.fail(new Error("cut"));
  assert.equal((await stream.next()).value.events.length, 2);
  await assert.rejects(stream.next(), /cut/);
  assert.equal((await stream.next()).done, true);
});

test("gives what is too large for one message as several, in order, and the end with the last", async () => {
  const stream = new AttemptStream();
  const large = new Uint8Array(20 * 1024 * 1024).map((_, index) => index >> 16);
  stream.push({
    $typeName: "penstock.connector.v1.ConnectorEvent",
    event: { case: "head", value: create(ConnectorHeadSchema) },
  });
  stream.push({ $typeName: "penstock.connector.v1.ConnectorEvent", event: { case: "body", value: large } });
  stream.push({
    $typeName: "penstock.connector.v1.ConnectorEvent",
    event: { case: "end", value: create(ConnectorEndSchema) },
  });
  stream.end();
  const cases: (string | undefined)[][] = [];
  const bodies: Uint8Array[] = [];
  for await (const { events } of stream) {
    cases.push(events.map(({ event }) => event.case));
    bodies.push(...events.flatMap(({ event }) => (event.case === "body" ? [event.value] : [])));
  }
  assert.deepEqual(cases, [["head", "body"], ["body"], ["body", "end"]]);
  assert.equal(Buffer.concat(bodies).compare(large), 0);
});

test("aborts its source when the reader leaves, and a source that comes later at once", async () => {
  const stream = new AttemptStream();
  const early = source();
  stream.attach(early);
  const pending = stream.next();
  await stream.return();
  assert.equal((await pending).done, true);
  assert.deepEqual(early.calls, ["abort"]);
  const late = source();
  stream.attach(late);
  assert.deepEqual(late.calls, ["abort"]);
});

test("asks its source to wait while nobody takes what it brings", async () => {
  const stream = new AttemptStream();
  const paused = source();
  stream.attach(paused);
  stream.push(body("x".repeat(300_000)));
  assert.deepEqual(paused.calls, ["pause"]);
  await stream.next();
  assert.deepEqual(paused.calls, ["pause", "resume"]);
});
