import assert from "node:assert/strict";
import { test } from "node:test";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";
import { mapUsage, writeUsage } from "./map-usage.ts";

const codec = createOpenAiResponsesCodec();
const options = { fallbackId: "chatcmpl-1f-2", fallbackCreated: 5, includeUsage: false };

/** A complete response with an output. */
function respond(output: readonly JsonObject[], fields: JsonObject = {}): JsonObject {
  return { id: "resp_1", object: "response", created_at: 7, model: "m", status: "completed", output, ...fields };
}

const text = { type: "message", content: [{ type: "output_text", text: "hi" }] };
const call = { type: "function_call", call_id: "c", name: "f", arguments: '{"x":1}' };

/** What an answer becomes when it is read and written again. */
function rewrite(body: JsonObject): JsonObject {
  return codec.encodeResponse(codec.decodeResponse(body), options);
}

test("writes every kind of part as an item, numbered, with what OpenAI's answers have", () => {
  const body = rewrite(
    respond([
      { type: "reasoning", summary: [{ type: "summary_text", text: "Hm" }], encrypted_content: "e==" },
      { type: "message", content: [...text.content, { type: "refusal", refusal: "no" }] },
      call,
      { type: "image_generation_call", result: "AAEC", output_format: "png" },
    ]),
  );
  assert.deepEqual(body["output"], [
    { id: "rs_1_0", type: "reasoning", summary: [{ type: "summary_text", text: "Hm" }], encrypted_content: "e==" },
    {
      id: "msg_1_1",
      type: "message",
      status: "completed",
      role: "assistant",
      content: [
        { type: "output_text", text: "hi", annotations: [], logprobs: [] },
        { type: "refusal", refusal: "no" },
      ],
    },
    { id: "fc_1_2", type: "function_call", status: "completed", call_id: "c", name: "f", arguments: '{"x":1}' },
    { id: "ig_1_3", type: "image_generation_call", status: "completed", result: "AAEC" },
  ]);
  assert.deepEqual([body["id"], body["created_at"], body["model"], body["status"]], ["resp_1", 7, "m", "completed"]);
  assert.equal(body["usage"], null);
});

test("makes ids that clients know, of whatever the provider or the gateway gives", () => {
  const write = (id: string): unknown => rewrite(respond([text], { id }))["id"];
  assert.deepEqual(["", "msg_01AbC", "resp_x", "9e-bc:1"].map(write), [
    "resp_1f2",
    "resp_01AbC",
    "resp_x",
    "resp_9ebc1",
  ]);
  const long = rewrite(respond([call], { id: `resp_${"a".repeat(200)}` }));
  const id = asString(asObject(asArray(long["output"])[0])?.["id"]);
  assert.match(id, /^fc_[a-zA-Z0-9_]{1,61}$/);
});

test("makes ids for calls that have none", () => {
  const parts = codec.decodeResponse(
    respond([
      { ...call, call_id: "" },
      { ...call, call_id: null },
    ]),
  ).candidates[0]?.message?.parts;
  assert.deepEqual(
    parts?.map(({ content }) => (content.case === "toolCall" ? content.value.id : "")),
    ["call_resp1_0", "call_resp1_1"],
  );
});

for (const [name, fields, reason, native] of [
  ["an answer", {}, FinishReason.STOP, "completed"],
  ["calls", { output: [text, call] }, FinishReason.TOOL_CALLS, "completed"],
  [
    "an output limit",
    { status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, output: [call] },
    FinishReason.LENGTH,
    "max_output_tokens",
  ],
  [
    "a filter",
    { status: "incomplete", incomplete_details: { reason: "content_filter" } },
    FinishReason.CONTENT_FILTER,
    "content_filter",
  ],
  ["an unknown limit", { status: "incomplete" }, FinishReason.LENGTH, "incomplete"],
  ["no status", { status: undefined }, FinishReason.STOP, "completed"],
] as const satisfies readonly (readonly [string, JsonObject, FinishReason, string])[]) {
  test(`reads why the model stopped: ${name}`, () => {
    const body = respond([text], fields);
    const [candidate] = codec.decodeResponse(body).candidates;
    assert.deepEqual([candidate?.finishReason, candidate?.nativeFinishReason], [reason, native]);
    assert.equal(codec.readResponse(body).finishReason, reason);
    assert.equal(codec.readResponse(rewrite(body)).finishReason, reason);
  });
}

test("marks the item that a limit cut", () => {
  const fields = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
  const output = asArray(rewrite(respond([text, { ...call, arguments: '{"x' }], fields))["output"]).map(asObject);
  assert.deepEqual(
    output.map((item) => item?.["status"]),
    ["completed", "incomplete"],
  );
});

test("says that an answer without a finish is not complete", () => {
  const response = codec.decodeResponse(respond([text]));
  response.candidates = [];
  assert.equal(codec.encodeResponse(response, options)["status"], "incomplete");
});

for (const fields of [
  { status: "failed", error: { code: "server_error", message: "no" } },
  { status: "cancelled", error: null },
  { error: { code: "c", message: "no" } },
] as const) {
  test(`throws the provider's error for ${JSON.stringify(fields)}`, () => {
    const body = respond([], fields);
    assert.throws(() => codec.decodeResponse(body), ProviderStreamError);
    assert.throws(() => codec.readResponse(body), ProviderStreamError);
  });
}

test("refuses what is no answer, or not one yet", () => {
  for (const body of [{}, { output: {} }, respond([], { status: "in_progress" }), respond([], { status: "queued" })]) {
    assert.throws(() => codec.decodeResponse(body), CodecError);
    assert.throws(() => codec.readResponse(body), CodecError);
  }
});

test("ignores items and parts that it does not know", () => {
  const body = respond([
    { type: "web_search_call" },
    { type: "message", content: [{ type: "output_video" }, { type: "output_text", text: "" }] },
    { type: "reasoning", summary: [] },
    { type: "new_item" },
  ]);
  assert.deepEqual(codec.decodeResponse(body).candidates[0]?.message?.parts, []);
});

test("carries log probabilities through the form of chat completions", () => {
  const logprobs = [{ token: "hi", logprob: -0.1, bytes: [104, 105], top_logprobs: [] }];
  const body = respond([{ type: "message", content: [{ type: "output_text", text: "hi", logprobs }] }]);
  const [candidate] = codec.decodeResponse(body).candidates;
  assert.deepEqual(JSON.parse(candidate?.logprobsJson ?? ""), { content: logprobs, refusal: null });
  assert.deepEqual(
    asObject(asArray(asObject(asArray(rewrite(body)["output"])[0])?.["content"])[0])?.["logprobs"],
    logprobs,
  );
});

const counts: readonly (readonly [string, JsonObject, readonly bigint[] | undefined])[] = [
  [
    "parts",
    { input_tokens: 10, output_tokens: 5, input_tokens_details: { cached_tokens: 4, cache_write_tokens: 1 } },
    [5n, 4n, 1n, 5n, 0n],
  ],
  [
    "reasoning within the output",
    { input_tokens: 1, output_tokens: 5, total_tokens: 6, output_tokens_details: { reasoning_tokens: 3 } },
    [1n, 0n, 0n, 5n, 3n],
  ],
  [
    "reasoning beside the output",
    { input_tokens: 1, output_tokens: 5, total_tokens: 9, output_tokens_details: { reasoning_tokens: 3 } },
    [1n, 0n, 0n, 8n, 3n],
  ],
  [
    "more reasoning than output",
    { input_tokens: 1, output_tokens: 2, output_tokens_details: { reasoning_tokens: 3 } },
    [1n, 0n, 0n, 3n, 3n],
  ],
  [
    "more cached than there is",
    { input_tokens: 3, output_tokens: 2, input_tokens_details: { cached_tokens: 9, cache_write_tokens: 9 } },
    [0n, 3n, 0n, 2n, 0n],
  ],
  ["fractions", { input_tokens: 1.5, output_tokens: 0 }, [1n, 0n, 0n, 0n, 0n]],
  ["a negative count", { input_tokens: -1, output_tokens: 2 }, undefined],
  ["a word", { input_tokens: "many", output_tokens: 2 }, undefined],
  ["nothing", {}, undefined],
];

for (const [name, native, expected] of counts) {
  test(`counts tokens given as ${name}`, () => {
    const usage = mapUsage(native);
    const read = usage && [
      usage.uncachedInputTokens,
      usage.cacheReadTokens,
      usage.cacheWriteTokens,
      usage.outputTokens,
      usage.reasoningTokens,
    ];
    assert.deepEqual(read, expected);
    assert.deepEqual(mapUsage(writeUsage(usage)), usage);
  });
}
