import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  ResponseFormat_Kind,
  Role,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import {
  audioPart,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import { decodeRequest } from "./decode-request.ts";
import { encodeRequest } from "./encode-request.ts";

const options = { model: "claude-sonnet-4-5", stream: false, defaultMaxOutputTokens: 4096 };
const hello = [message(Role.USER, [textPart("hi")])];

type RequestInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

function encode(init: RequestInit, model = options.model): { body: JsonObject; dropped: readonly string[] } {
  return encodeRequest(create(ChatRequestSchema, { messages: hello, ...init }), { ...options, model });
}

test("requires a limit, and uses the default where the request has none", () => {
  assert.equal(encode({}).body["max_tokens"], 4096);
  assert.equal(encode({ maxOutputTokens: 7n }).body["max_tokens"], 7);
});

test("puts all results of a turn into one user message, before its text", () => {
  const { body } = encode({
    messages: [
      message(Role.SYSTEM, [textPart("a")]),
      message(Role.DEVELOPER, [textPart("b")]),
      message(Role.USER, [textPart("go")]),
      message(Role.ASSISTANT, [
        textPart(""),
        toolCallPart({ id: "c:1", name: "one", argumentsJson: "" }),
        toolCallPart({ id: "c2", name: "two", argumentsJson: '{"x":1}' }),
      ]),
      message(Role.SYSTEM, [textPart("hurry")]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "c:1", parts: [textPart("1")] })]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "c2", parts: [], isError: true })]),
      message(Role.USER, [textPart("next"), textPart("  ")]),
    ],
  });
  assert.deepEqual(body["system"], [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ]);
  assert.deepEqual(body["messages"], [
    { role: "user", content: [{ type: "text", text: "go" }] },
    {
      role: "assistant",
      content: [
        { type: "tool_use", id: "c_3a_1", name: "one", input: {} },
        { type: "tool_use", id: "c2", name: "two", input: { x: 1 } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "c_3a_1", content: "1" },
        { type: "tool_result", tool_use_id: "c2", is_error: true },
        { type: "text", text: "hurry" },
        { type: "text", text: "next" },
      ],
    },
  ]);
});

test("begins with the user and leaves no space at the end of a prefill", () => {
  const { body } = encode({ messages: [message(Role.ASSISTANT, [textPart("Sure: \n")])] });
  assert.deepEqual(body["messages"], [
    { role: "user", content: [{ type: "text", text: "." }] },
    { role: "assistant", content: [{ type: "text", text: "Sure:" }] },
  ]);
});

const thinking: readonly (readonly [string, string, RequestInit, JsonObject | undefined, string | undefined])[] = [
  [
    "an effort",
    "claude-sonnet-4-5",
    { reasoning: { effort: "low" } },
    { type: "enabled", budget_tokens: 1024 },
    undefined,
  ],
  [
    "an effort under a low limit",
    "claude-3-7-sonnet",
    { reasoning: { effort: "high" } },
    { type: "enabled", budget_tokens: 2048 },
    undefined,
  ],
  [
    "a budget over the limit",
    "claude-opus-4-20250514",
    { reasoning: { budgetTokens: 9999n } },
    { type: "enabled", budget_tokens: 4095 },
    undefined,
  ],
  ["no effort", "claude-sonnet-4-5", { reasoning: { effort: "none" } }, { type: "disabled" }, undefined],
  ["a budget of 0", "claude-sonnet-4-6", { reasoning: { budgetTokens: 0n } }, { type: "disabled" }, undefined],
  [
    "a free budget",
    "claude-sonnet-4-5",
    { reasoning: { budgetTokens: -1n } },
    { type: "enabled", budget_tokens: 2048 },
    undefined,
  ],
  [
    "an effort on an adaptive model",
    "claude-opus-4-7",
    { reasoning: { effort: "minimal" } },
    { type: "adaptive" },
    "low",
  ],
  [
    "a free budget on an adaptive model",
    "us.anthropic.claude-opus-4-6-v1:0",
    { reasoning: { budgetTokens: -1n } },
    { type: "adaptive" },
    undefined,
  ],
  ["no room", "claude-sonnet-4-5", { maxOutputTokens: 500n, reasoning: { effort: "low" } }, undefined, undefined],
  [
    "a forced tool",
    "claude-sonnet-4-6",
    { reasoning: { effort: "low" }, toolChoice: { mode: ToolChoice_Mode.REQUIRED } },
    undefined,
    undefined,
  ],
];

for (const [name, model, init, expected, effort] of thinking) {
  test(`writes thinking for ${name}`, () => {
    const { body, dropped } = encode(init, model);
    assert.deepEqual(body["thinking"], expected);
    assert.deepEqual(body["output_config"], effort === undefined ? undefined : { effort });
    assert.equal(dropped.includes("reasoning_effort"), expected === undefined);
  });
}

test("does not think when the thoughts behind the last calls are lost", () => {
  const turn = (signature: string): RequestInit => ({
    reasoning: { effort: "low" },
    messages: [
      ...hello,
      message(Role.ASSISTANT, [
        reasoningPart({ text: "hm", signature }),
        toolCallPart({ id: "a", name: "x", argumentsJson: "{}" }),
      ]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "a", parts: [textPart("1")] })]),
    ],
  });
  assert.equal(encode(turn("")).body["thinking"], undefined);
  assert.deepEqual(encode(turn("")).dropped, ["reasoning_content", "reasoning_effort"]);
  assert.notEqual(encode(turn("sig")).body["thinking"], undefined);
});

test("leaves out what thinking forbids, and names what it left out", () => {
  const { body, dropped } = encode({
    reasoning: { effort: "low" },
    temperature: 0.5,
    topP: 0.5,
    topK: 4n,
    seed: 1n,
    logitBias: { "1": 2 },
    metadata: { a: "b" },
    serviceTier: "flex",
  });
  assert.deepEqual(dropped, ["logit_bias", "metadata", "seed", "service_tier", "temperature", "top_k", "top_p"]);
  assert.equal(body["temperature"], undefined);
  assert.equal(encode({ temperature: 1.7 }).body["temperature"], 1);
});

test("writes tools, choices and formats", () => {
  const { body, dropped } = encode({
    tools: [
      { name: "a", parametersJson: "" },
      {
        name: "b",
        description: "B",
        parametersJson: '{"anyOf":[{}],"properties":{"x":{"type":"string"}}}',
        strict: true,
      },
    ],
    parallelToolCalls: false,
    stopSequences: ["END", " "],
    responseFormat: {
      kind: ResponseFormat_Kind.JSON_SCHEMA,
      schemaJson:
        '{"type":"object","properties":{"default":{"type":"object","properties":{}},"list":{"items":{"type":"object"}}}}',
    },
  });
  assert.deepEqual(body["tools"], [
    { name: "a", input_schema: { type: "object", properties: {} } },
    {
      name: "b",
      description: "B",
      input_schema: { properties: { x: { type: "string" } }, type: "object" },
      strict: true,
    },
  ]);
  assert.deepEqual(dropped, ["tools.parameters.anyOf"]);
  assert.deepEqual(body["tool_choice"], { type: "auto", disable_parallel_tool_use: true });
  assert.deepEqual(body["stop_sequences"], ["END"]);
  const closed = { type: "object", additionalProperties: false };
  assert.deepEqual(body["output_config"], {
    format: {
      type: "json_schema",
      schema: { ...closed, properties: { default: { ...closed, properties: {} }, list: { items: closed } } },
    },
  });
});

test("asks for JSON in words where only an object is wanted", () => {
  const { body } = encode({ responseFormat: { kind: ResponseFormat_Kind.JSON_OBJECT } });
  assert.match(JSON.stringify(body["system"]), /JSON object/);
});

test("refuses what cannot be left out", () => {
  const parts = [
    audioPart(new Uint8Array(1), "audio/wav"),
    imagePart({ case: "data", value: Buffer.from("BM") }, "image/bmp"),
    toolCallPart({ id: "a", name: "x", argumentsJson: "{oops" }),
  ];
  for (const part of parts) {
    assert.throws(() => encode({ messages: [message(Role.USER, [part])] }), CodecError);
  }
  assert.throws(() => encode({ candidateCount: 2 }), CodecError);
});

test("names a picture by its bytes", () => {
  const png = Buffer.from("\x89PNG\r\n\x1a\n0000", "latin1");
  const { body } = encode({ messages: [message(Role.USER, [imagePart({ case: "data", value: png }, "image/jpeg")])] });
  assert.match(JSON.stringify(body["messages"]), /"media_type":"image\/png"/);
});

test("keeps signatures, tools, parts and marks on the way through the dialect", () => {
  const request = create(ChatRequestSchema, {
    model: options.model,
    maxOutputTokens: 9000n,
    messages: [
      ...hello,
      message(Role.ASSISTANT, [
        reasoningPart({ signature: "sig" }),
        reasoningPart({ redactedData: "opaque" }),
        toolCallPart({ id: "t", name: "x", argumentsJson: '{"a":[1,"é"]}' }),
      ]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "t", parts: [textPart("1"), textPart("2")], isError: true })]),
      message(Role.USER, [
        { ...textPart("cached"), cacheControl: { $typeName: "penstock.chat.v1.CacheControl", ttl: "5m" } },
      ]),
    ],
    tools: [{ name: "x", parametersJson: '{"type":"object"}', strict: false }],
    reasoning: { budgetTokens: 2048n, effort: "", includeThoughts: true },
    serviceTier: "auto",
    stopSequences: ["a"],
    endUserId: "u",
  });
  assert.deepEqual(decodeRequest(encodeRequest(request, options).body), request);
});
