import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { ChatRequestSchema, ResponseFormat_Kind, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, reasoningPart, textPart, toolCallPart, toolResultPart } from "../chat/chat-parts.ts";
import { type EncodedRequest, ProviderStreamError } from "../codec.ts";
import { readExchanges } from "../testing/read-recordings.ts";
import { createCohereCodec, createCohereEmbedCodec } from "./cohere-codec.ts";

const codec = createCohereCodec();
const embed = createCohereEmbedCodec();
const user = message(Role.USER, [textPart("hello")]);
const tools = [
  { name: "add", parametersJson: '{"type":"object"}', strict: true },
  { name: "now", description: "tells the time" },
];

function encode(
  request: MessageInitShape<typeof ChatRequestSchema>,
  model = "command-a-reasoning-08-2025",
): EncodedRequest {
  return codec.encodeRequest(create(ChatRequestSchema, { messages: [user], ...request }), {
    model,
    stream: false,
    defaultMaxOutputTokens: 4096,
  });
}

test("writes a turn that calls tools with its plan, its thoughts and each result as a message", () => {
  const { body, dropped } = encode({
    messages: [
      message(Role.DEVELOPER, [textPart("be brief")]),
      user,
      message(Role.ASSISTANT, [
        reasoningPart({ text: "hm" }),
        reasoningPart({ text: "theirs", signature: "sig" }),
        textPart("I will add."),
        toolCallPart({ id: "c1", name: "add", argumentsJson: "" }),
      ]),
      message(Role.USER, [
        toolResultPart({ toolCallId: "c1", parts: [textPart("3")] }),
        toolResultPart({ toolCallId: "c2", parts: [textPart("4")] }),
        textPart("and?"),
      ]),
    ],
  });
  assert.deepEqual(body["messages"], [
    { role: "system", content: "be brief" },
    { role: "user", content: "hello" },
    {
      role: "assistant",
      content: [{ type: "thinking", thinking: "hm" }],
      tool_plan: "I will add.",
      tool_calls: [{ id: "c1", type: "function", function: { name: "add", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "c1", content: "3" },
    { role: "tool", tool_call_id: "c2", content: "4" },
    { role: "user", content: "and?" },
  ]);
  assert.deepEqual(dropped, ["reasoning_content"]);
});

test("brings numbers into Cohere's bounds and names what it leaves out", () => {
  const { body, dropped } = encode({
    temperature: 1.7,
    topP: 1,
    topK: 9999n,
    presencePenalty: -1,
    frequencyPenalty: 0.5,
    maxOutputTokens: 20n,
    seed: 7n,
    stopSequences: ["x"],
    parallelToolCalls: false,
    endUserId: "someone",
    logprobs: true,
  });
  assert.deepEqual(body, {
    model: "command-a-reasoning-08-2025",
    messages: [{ role: "user", content: "hello" }],
    max_tokens: 20,
    temperature: 1,
    p: 0.99,
    k: 500,
    seed: 7,
    presence_penalty: 0,
    frequency_penalty: 0.5,
    stop_sequences: ["x"],
  });
  assert.deepEqual(dropped, ["logprobs", "parallel_tool_calls", "user"]);
});

test("offers only the tool that must be called, because Cohere takes no name", () => {
  const named = encode({ tools, toolChoice: { mode: ToolChoice_Mode.NAMED, toolName: "add" } });
  assert.deepEqual(named.body["tools"], [
    { type: "function", function: { name: "add", parameters: { type: "object" } } },
  ]);
  assert.equal(named.body["tool_choice"], "REQUIRED");
  assert.equal(named.body["strict_tools"], true);
  assert.throws(() => encode({ tools, toolChoice: { mode: ToolChoice_Mode.NAMED, toolName: "sub" } }), {
    code: "invalid_value",
  });
  const all = encode({ tools, toolChoice: { mode: ToolChoice_Mode.NONE } });
  assert.equal(all.body["tool_choice"], "NONE");
  assert.deepEqual(all.dropped, ["tools.strict"]);
});

test("writes a schema of the answer, and refuses one beside tools", () => {
  const responseFormat = { kind: ResponseFormat_Kind.JSON_SCHEMA, name: "a", schemaJson: '{"type":"object"}' };
  assert.deepEqual(encode({ responseFormat }).body["response_format"], {
    type: "json_object",
    json_schema: { type: "object" },
  });
  assert.throws(() => encode({ responseFormat, tools }), { code: "unsupported_feature", param: "response_format" });
});

test("says how much to think to models that think", () => {
  const table = [
    [{ effort: "low" }, { type: "enabled", token_budget: 1024 }],
    [{ effort: "high" }, { type: "enabled" }],
    [{ effort: "none" }, { type: "disabled" }],
    [{ budgetTokens: 300n }, { type: "enabled", token_budget: 300 }],
    [{ budgetTokens: -1n }, { type: "enabled" }],
  ] as const;
  for (const [reasoning, thinking] of table) {
    assert.deepEqual(encode({ reasoning }).body["thinking"], thinking);
  }
  const other = encode({ reasoning: { effort: "low" } }, "command-a-03-2025");
  assert.equal(other.body["thinking"], undefined);
  assert.deepEqual(other.dropped, ["reasoning_effort"]);
});

test("refuses what would change the meaning", () => {
  const sound = message(Role.USER, [
    {
      $typeName: "penstock.chat.v1.Part",
      content: {
        case: "audio",
        value: { $typeName: "penstock.chat.v1.AudioPart", data: new Uint8Array(1), mediaType: "audio/wav" },
      },
    },
  ]);
  for (const request of [
    { candidateCount: 2 },
    { stopSequences: ["1", "2", "3", "4", "5", "6"] },
    { messages: [sound] },
  ]) {
    assert.throws(() => encode(request), { code: "unsupported_feature" });
  }
});

test("refuses requests that Cohere would refuse, by the path of what is wrong", () => {
  const table = [
    [{ messages: [] }, "model"],
    [{ model: "m" }, "messages"],
    [{ model: "m", messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    [{ model: "m", messages: [{ role: "tool", content: "x" }] }, "messages[0].tool_call_id"],
    [{ model: "m", messages: [{ role: "user", content: [{ type: "sound" }] }] }, "messages[0].content[0].type"],
    [{ model: "m", messages: [{ role: "user", content: "x" }], tool_choice: "auto" }, "tool_choice"],
  ] as const;
  for (const [body, param] of table) {
    assert.throws(() => codec.decodeRequest(body), { name: "CodecError", param });
  }
});

test("keeps pictures, forms and thinking over both directions", () => {
  const body = {
    model: "m",
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "what is it?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAEC", detail: "low" } },
          { type: "image_url", image_url: { url: "https://example.com/a.png" } },
        ],
      },
    ],
    response_format: { type: "json_object", json_schema: { type: "object" } },
    thinking: { type: "enabled", token_budget: 99 },
  };
  assert.deepEqual(encode(codec.decodeRequest(body), "m").body, body);
});

test("reads errors of all shapes, and knows a prompt that is too long", () => {
  const tooLong = codec.decodeError({ id: "x", message: "too many tokens", error_type: "TOO_MANY_TOKENS" });
  assert.equal(tooLong.message, "too many tokens");
  assert.equal(tooLong.code, "context_length_exceeded");
  assert.equal(codec.decodeError({ error: "text" }).message, "text");
  for (const body of [undefined, null, [], 7, {}]) {
    assert.equal(codec.decodeError(body).message, "");
  }
  assert.throws(() => codec.decodeResponse({ id: "x", message: "no" }), ProviderStreamError);
  assert.throws(() => codec.decodeResponse({ id: "x", message: {}, finish_reason: "ERROR" }), ProviderStreamError);
  assert.throws(() => codec.readResponse({ id: "x" }), { code: "invalid_response" });
});

test("asks for vectors of texts that are searched, and reads what they cost", () => {
  const request = embed.decodeRequest({
    model: "m",
    texts: ["a", "b"],
    input_type: "search_query",
    output_dimension: 4,
  });
  assert.deepEqual(embed.encodeRequest(request, { model: "embed-v4.0" }), {
    body: {
      model: "embed-v4.0",
      texts: ["a", "b"],
      input_type: "search_document",
      embedding_types: ["float"],
      output_dimension: 4,
    },
    dropped: [],
  });
  const answer = embed.decodeResponse({
    embeddings: {
      float: [
        [0.5, 1],
        [2, 4],
      ],
    },
    meta: { billed_units: { input_tokens: 7 } },
  });
  assert.deepEqual(
    answer.embeddings.map(({ values }) => values),
    [
      [0.5, 1],
      [2, 4],
    ],
  );
  assert.equal(answer.usage?.uncachedInputTokens, 7n);
  assert.deepEqual(embed.decodeResponse(embed.encodeResponse(answer)), answer);
});

test("refuses vectors that it cannot translate", () => {
  assert.throws(() => embed.decodeRequest({ model: "m", texts: ["a"], embedding_types: ["int8"] }), {
    code: "unsupported_feature",
  });
  assert.throws(() => embed.decodeRequest({ model: "m", texts: [] }), { param: "texts" });
  const many = embed.decodeRequest({ model: "m", texts: Array.from({ length: 97 }, () => "a") });
  assert.throws(() => embed.encodeRequest(many, { model: "m" }), { code: "array_above_max_length", param: "input" });
  assert.throws(() => embed.decodeResponse({ embeddings: {} }), { code: "invalid_response" });
  assert.throws(() => embed.decodeResponse({ message: "no" }), ProviderStreamError);
});

for (const { id, request, response } of readExchanges("cohere/v2.embed")) {
  test(`reads the recorded vectors ${id}`, () => {
    assert.equal(embed.decodeRequest(request?.body ?? {}).inputs.length, 1);
    const decoded = embed.decodeResponse(response.body ?? {});
    assert.equal(decoded.embeddings[0]?.values.length, 1024);
    assert.equal(embed.readUsage(response.body ?? {})?.uncachedInputTokens, 7n);
  });
}
