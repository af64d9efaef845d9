import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import { ConnectError } from "@connectrpc/connect";
import { createBedrockConverseCodec } from "#codec/bedrock-converse/bedrock-converse-codec.ts";
import { endEvent, finishEvent, startEvent, textDelta } from "#codec/chat/chat-events.ts";
import { ExecuteRequestSchema } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import { createCallerCodecs } from "./caller-codecs.ts";
import { type ProvidersConfig, providersConfig } from "./config.ts";
import { createProviderSet, type ProviderSet } from "./create-provider-set.ts";
import { executeAttempt } from "./execute-attempt.ts";
import type { UpstreamRequest } from "./upstream/upstream.ts";

interface Asked {
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** How the provider answers next. */
let answer: { readonly status?: number; readonly headers: Record<string, string>; readonly body: string | Uint8Array };
let asked: Asked[] = [];
let url = "";
const server = http.createServer((req, res) => {
  const chunks: Uint8Array[] = [];
  req.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  req.on("end", () => {
    // What the gateway sends is a JSON object, or the test fails.
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    asked.push({ path: req.url ?? "", headers: req.headers, body });
    res.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
  });
});

before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on a host and a port has an address of TCP.
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
});
beforeEach(() => {
  asked = [];
});

function open(entry: Readonly<Record<string, unknown>>): ProviderSet {
  return createProviderSet(parse({ base_url: url, ...entry }), { random: () => 0, now: () => Date.UTC(2026, 0, 2) });
}

function parse(entry: Readonly<Record<string, unknown>>): ProvidersConfig {
  return providersConfig.parse({ p: entry });
}

interface Outcome {
  readonly text: string;
  readonly dropped: readonly string[];
  readonly outputTokens: bigint | undefined;
}

async function ask(
  set: ProviderSet,
  request: {
    readonly model: string;
    readonly dialect: Dialect;
    readonly stream?: boolean;
    readonly body: object;
    readonly dialectHeaders?: Record<string, string>;
  },
): Promise<Outcome> {
  const provider = set.get("p");
  assert.ok(provider !== undefined);
  const stream = executeAttempt(
    create(ExecuteRequestSchema, {
      ...request,
      provider: "p",
      operation: Operation.CHAT,
      body: Buffer.from(JSON.stringify(request.body)),
    }),
    provider,
    { callers: createCallerCodecs(), now: Date.now },
  );
  const chunks: Uint8Array[] = [];
  let dropped: readonly string[] = [];
  let outputTokens: bigint | undefined;
  try {
    for await (const { events } of stream) {
      for (const { event } of events) {
        if (event.case === "body") {
          chunks.push(event.value);
        } else if (event.case === "head") {
          dropped = event.value.droppedParams;
        } else if (event.case === "end") {
          outputTokens = event.value.usage?.outputTokens;
        }
      }
    }
  } finally {
    await set.close();
  }
  return { text: Buffer.concat(chunks).toString(), dropped, outputTokens };
}

async function failureOf(promise: Promise<unknown>) {
  const error = ConnectError.from(
    await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
  const { providerError } = errorDetailOf(error);
  assert.ok(providerError !== undefined, String(error));
  return providerError;
}

const json = { "content-type": "application/json" };
const chat = { messages: [{ role: "user", content: "Hello" }] };
const openAi = { dialect: Dialect.OPENAI_CHAT, body: { model: "x", ...chat } };
const anthropic = { dialect: Dialect.ANTHROPIC_MESSAGES, body: { model: "x", max_tokens: 9, ...chat } };
const pair = {
  kind: "bedrock",
  region: "eu-central-1",
  access_key_id: "AKIDTESTTEST",
  secret_access_key: "s3cr3t-key",
};
const claude = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const converseAnswer = JSON.stringify({
  output: { message: { role: "assistant", content: [{ text: "Hi" }] } },
  stopReason: "end_turn",
  usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
});
const claudeAnswer = JSON.stringify({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude",
  content: [{ type: "text", text: "Hi" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 3, output_tokens: 2 },
});

test("asks Bedrock by Converse with the id as one segment of the path, and signs what it sends", async () => {
  answer = { headers: json, body: converseAnswer };
  const arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc";
  const { text, outputTokens } = await ask(open({ ...pair, session_token: "t0ken" }), { ...openAi, model: arn });
  assert.ok(text.includes('"content":"Hi"'), text);
  assert.equal(outputTokens, 2n);
  assert.equal(asked[0]?.path, `/model/${encodeURIComponent(arn)}/converse`);
  assert.equal(asked[0]?.headers["x-amz-security-token"], "t0ken");
  assert.match(
    asked[0]?.headers.authorization ?? "",
    /^AWS4-HMAC-SHA256 Credential=AKIDTESTTEST\/20260102\/eu-central-1\/bedrock\/aws4_request, SignedHeaders=\S*host\S*, Signature=[0-9a-f]{64}$/,
  );
  assert.deepEqual(asked[0]?.body, { messages: [{ role: "user", content: [{ text: "Hello" }] }] });
});

test("asks Bedrock with a key of its own, and reads a stream of frames", async () => {
  const frames = createBedrockConverseCodec()
    .createStreamEncoder({ fallbackId: "", fallbackCreated: 0, includeUsage: true })
    .encode([
      startEvent("", ""),
      textDelta(0, "Hi"),
      finishEvent(0, FinishReason.STOP, "end_turn"),
      endEvent(undefined),
    ]);
  answer = { headers: { "content-type": "application/vnd.amazon.eventstream" }, body: frames };
  const set = open({ kind: "bedrock", region: "us-east-1", api_key: "bedrock-api-key" });
  const { text } = await ask(set, { ...openAi, model: "amazon.nova-lite-v1:0", stream: true });
  assert.match(text, /"content":"Hi"[^]*\[DONE\]/);
  assert.equal(asked[0]?.path, "/model/amazon.nova-lite-v1%3A0/converse-stream");
  assert.equal(asked[0]?.headers.authorization, "Bearer bedrock-api-key");
  assert.equal(asked[0]?.headers.accept, "application/vnd.amazon.eventstream");
});

test("forwards Anthropic's callers to Claude on Bedrock, and translates them for other models there", async () => {
  answer = { headers: json, body: claudeAnswer };
  const dialectHeaders = { "anthropic-beta": "one-2025, two-2025" };
  const body = { ...anthropic.body, stream: false, unknown: 1 };
  const { text } = await ask(open(pair), { ...anthropic, body, dialectHeaders, model: claude });
  assert.equal(text, claudeAnswer);
  assert.equal(asked[0]?.path, `/model/${encodeURIComponent(claude)}/invoke`);
  assert.deepEqual(asked[0]?.body, {
    anthropic_version: "bedrock-2023-05-31",
    anthropic_beta: ["one-2025", "two-2025"],
    max_tokens: 9,
    ...chat,
    unknown: 1,
  });
  answer = { headers: json, body: converseAnswer };
  await ask(open(pair), { ...anthropic, model: "amazon.nova-lite-v1:0" });
  assert.equal(asked[1]?.path, "/model/amazon.nova-lite-v1%3A0/converse");
});

test("sorts Bedrock's errors by their kind, and masks its credentials", async () => {
  const table = [
    [
      429,
      "ThrottlingException:http://internal.amazon.com/coral/",
      "Too many requests",
      ProviderErrorClass.RATE_LIMITED,
    ],
    [403, "ExpiredTokenException", "The token s3cr3t-key of AKIDTESTTEST has expired", ProviderErrorClass.AUTH],
    [400, "ValidationException", "Input is too long for requested model.", ProviderErrorClass.CONTEXT_LENGTH],
    [400, "ServiceQuotaExceededException", "Too much", ProviderErrorClass.RATE_LIMITED],
    [408, "ModelTimeoutException", "Too slow", ProviderErrorClass.TIMEOUT],
    [424, "ModelErrorException", "The model failed", ProviderErrorClass.SERVER],
    [503, "ServiceUnavailableException", "Later", ProviderErrorClass.OVERLOADED],
  ] as const;
  for (const [status, type, message, errorClass] of table) {
    answer = { status, headers: { ...json, "x-amzn-errortype": type }, body: JSON.stringify({ message }) };
    const failure = await failureOf(ask(open(pair), { ...openAi, model: claude }));
    assert.equal(failure.errorClass, errorClass, type);
    assert.equal(failure.type, type.split(":")[0]);
    assert.ok(!/s3cr3t|AKIDTEST/.test(failure.message), failure.message);
  }
});

const marshaller = new EventStreamCodec(
  (bytes) => new TextDecoder().decode(bytes),
  (text) => new TextEncoder().encode(text),
);

function frame(headers: Readonly<Record<string, string>>, payload: object): Uint8Array {
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: "string" as const, value }]);
  return marshaller.encode({ headers: Object.fromEntries(typed), body: Buffer.from(JSON.stringify(payload)) });
}

function chunk(event: object): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(event)).toString("base64");
  return frame({ ":message-type": "event", ":event-type": "chunk" }, { bytes });
}

test("unwraps Claude's streams for Anthropic's callers, and tells those that are cut or fail", async () => {
  const events = [
    { type: "message_start", message: { id: "m", role: "assistant", content: [], usage: { input_tokens: 3 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Grüße" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 4 } },
    { type: "message_stop" },
  ];
  const expected = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  const headers = { "content-type": "application/vnd.amazon.eventstream" };
  const body = { ...anthropic.body, stream: true };
  const request = { ...anthropic, body, model: claude, stream: true };
  const frames = events.map(chunk);

  answer = { headers, body: Buffer.concat(frames) };
  const { text, outputTokens } = await ask(open(pair), request);
  assert.equal(text, expected);
  assert.equal(outputTokens, 4n);
  assert.equal(asked[0]?.path, `/model/${encodeURIComponent(claude)}/invoke-with-response-stream`);
  assert.equal("stream" in (asked[0]?.body ?? {}), false);

  answer = { headers, body: Buffer.concat(frames).subarray(0, -1) };
  assert.equal((await failureOf(ask(open(pair), request))).errorClass, ProviderErrorClass.TRUNCATED);

  const throttled = frame(
    { ":message-type": "exception", ":exception-type": "throttlingException" },
    { message: "no" },
  );
  answer = { headers, body: throttled };
  const early = await failureOf(ask(open(pair), request));
  assert.equal(early.errorClass, ProviderErrorClass.RATE_LIMITED);
  assert.equal(early.mayHaveBilled, false);
  answer = { headers, body: Buffer.concat([...frames.slice(0, 3), throttled]) };
  const late = await failureOf(ask(open(pair), request));
  assert.equal(late.errorClass, ProviderErrorClass.RATE_LIMITED);
});

test("sends nothing when the caller leaves while a credential is worked out", async () => {
  const set = open(pair);
  const provider = set.get("p");
  assert.ok(provider !== undefined);
  const credential = Promise.withResolvers<UpstreamRequest>();
  let sent = 0;
  const stream = executeAttempt(
    create(ExecuteRequestSchema, {
      provider: "p",
      model: claude,
      operation: Operation.CHAT,
      dialect: Dialect.OPENAI_CHAT,
      body: Buffer.from(JSON.stringify(openAi.body)),
    }),
    {
      ...provider,
      authorize: () => credential.promise,
      upstream: {
        send() {
          sent += 1;
          throw new Error("nothing is to be sent");
        },
        close: () => Promise.resolve(),
      },
    },
    { callers: createCallerCodecs(), now: Date.now },
  );
  const next = stream.next();
  await stream.return();
  credential.resolve({ path: "/", headers: [], body: new Uint8Array(0) });
  await credential.promise;
  assert.deepEqual(await next, { done: true, value: undefined });
  assert.equal(sent, 0);
  await set.close();
});

test("asks Vertex for Gemini and for Claude where each is, and takes the model out of Claude's body", async () => {
  const vertex = { kind: "vertex", project: "my-project", location: "europe-west4", access_token: "ya29.given-token" };
  answer = { headers: json, body: claudeAnswer };
  const body = { ...anthropic.body, stream: false };
  const { text } = await ask(open(vertex), { ...anthropic, body, model: "claude-sonnet-4-5@20250929" });
  assert.equal(text, claudeAnswer);
  const place = "/v1/projects/my-project/locations/europe-west4/publishers";
  assert.equal(asked[0]?.path, `${place}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict`);
  assert.equal(asked[0]?.headers.authorization, "Bearer ya29.given-token");
  assert.deepEqual(asked[0]?.body, { anthropic_version: "vertex-2023-10-16", max_tokens: 9, ...chat, stream: false });

  const gemini = { candidates: [{ content: { role: "model", parts: [{ text: "Hi" }] }, finishReason: "STOP" }] };
  answer = { headers: { "content-type": "text/event-stream" }, body: `data: ${JSON.stringify(gemini)}\r\n\r\n` };
  const streamed = await ask(open(vertex), { ...openAi, model: "gemini-2.5-flash", stream: true });
  assert.match(streamed.text, /"content":"Hi"/);
  assert.equal(asked[1]?.path, `${place}/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse`);

  answer = { headers: json, body: JSON.stringify(gemini) };
  await ask(open({ kind: "vertex", api_key: "google-key" }), { ...openAi, model: "gemini-2.5-flash" });
  assert.equal(asked[2]?.path, "/v1/publishers/google/models/gemini-2.5-flash:generateContent");
  assert.equal(asked[2]?.headers["x-goog-api-key"], "google-key");
});

test("has addresses of Vertex and Bedrock for every place", () => {
  const hostOf = (entry: Readonly<Record<string, unknown>>): string | undefined =>
    createProviderSet(parse(entry), { random: () => 0, now: () => 0 }).get("p")?.kind.defaultBaseUrl;
  const project = { kind: "vertex", project: "p" };
  assert.equal(hostOf(project), "https://aiplatform.googleapis.com");
  assert.equal(hostOf({ ...project, location: "eu" }), "https://aiplatform.eu.rep.googleapis.com");
  assert.equal(hostOf({ ...project, location: "us-east5" }), "https://us-east5-aiplatform.googleapis.com");
  assert.equal(hostOf(pair), "https://bedrock-runtime.eu-central-1.amazonaws.com");
  assert.equal(hostOf({ ...pair, region: "cn-north-1" }), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
});

test("says that a request without a credential cost nothing and was never sent", async () => {
  const set = open({
    kind: "vertex",
    project: "p",
    credentials: '{"type":"service_account","private_key":"nonsense"}',
  });
  const failure = await failureOf(ask(set, { ...openAi, model: "gemini-2.5-flash" }));
  assert.equal(failure.errorClass, ProviderErrorClass.AUTH);
  assert.equal(failure.mayHaveBilled, false);
  assert.ok(!failure.message.includes("nonsense"), failure.message);
  assert.equal(asked.length, 0);
});

test("asks Ollama by its own API, and forwards OpenAI's callers to its door for them", async () => {
  const line = (piece: object): string =>
    `${JSON.stringify({ model: "m", message: { role: "assistant", ...piece }, ...piece })}\n`;
  const lines =
    line({ content: "Hi", done: false }) + line({ content: "", done: true, done_reason: "stop", eval_count: 2 });
  answer = { headers: { "content-type": "application/x-ndjson" }, body: lines };
  const { text, outputTokens } = await ask(open({ kind: "ollama", api_key: "none" }), {
    ...anthropic,
    body: { ...anthropic.body, stream: true },
    model: "qwen3:4b",
    stream: true,
  });
  assert.match(text, /"text":"Hi"[^]*message_stop/);
  assert.equal(outputTokens, 2n);
  assert.equal(asked[0]?.path, "/api/chat");
  assert.deepEqual(asked[0]?.body["options"], { num_predict: 9 });
  assert.equal(asked[0]?.body["stream"], true);

  const whole = { choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }] };
  for (const base of [url, `${url}/v1`, `${url}/v1/`]) {
    answer = { headers: json, body: JSON.stringify(whole) };
    await ask(open({ kind: "ollama", base_url: base, api_key: "none" }), { ...openAi, model: "qwen3:4b" });
    assert.equal(asked.at(-1)?.path, "/v1/chat/completions");
  }
});

test("refuses credentials that do not belong together", () => {
  for (const [entry, words] of [
    [{ kind: "bedrock", region: "us-east-1" }, /give either api_key/],
    [{ kind: "bedrock", region: "us-east-1", access_key_id: "a" }, /come together/],
    [{ ...pair, api_key: "b" }, /give either api_key/],
    [{ ...pair, region: "here" }, /written like us-east-1/],
    [{ kind: "vertex" }, /is missing/],
    [{ kind: "vertex", project: "p", access_token: "a", credentials_file: "f" }, /give one of/],
  ] as const) {
    assert.throws(() => parse(entry), words, JSON.stringify(entry));
  }
});
