import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseFormat_Kind, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeRequestOptions, type JsonObject } from "../codec.ts";
import { createOpenAiChatCodec } from "./openai-chat-codec.ts";

const openAi = createOpenAiChatCodec();
const compatible = createOpenAiChatCodec({ maxTokensField: "max_tokens", extensions: true });
const options: EncodeRequestOptions = { model: "m", stream: false, defaultMaxOutputTokens: 100 };

const tool = {
  type: "function",
  function: { name: "f", description: "d", parameters: { type: "object", properties: {} }, strict: true },
};

/** A request with everything that OpenAI and the intermediate form share. */
const full: JsonObject = {
  model: "m",
  messages: [
    { role: "system", content: "s" },
    { role: "developer", content: "d" },
    {
      role: "user",
      content: [
        { type: "text", text: "look" },
        { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
        { type: "image_url", image_url: { url: "data:image/png;base64,AAEC" } },
        { type: "input_audio", input_audio: { data: "AAEC", format: "wav" } },
        { type: "file", file: { file_data: "data:application/pdf;base64,AAEC", filename: "a.pdf" } },
        { type: "file", file: { file_id: "file-1" } },
      ],
      name: "ann",
    },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: '{"x":1}' } }],
    },
    { role: "tool", tool_call_id: "c1", content: "1" },
    { role: "assistant", content: "done", refusal: "but not that" },
    { role: "user", content: "thanks" },
  ],
  tools: [tool],
  tool_choice: { type: "function", function: { name: "f" } },
  parallel_tool_calls: false,
  max_completion_tokens: 50,
  temperature: 0.5,
  top_p: 0.9,
  stop: ["a", "b"],
  seed: 7,
  presence_penalty: 0.1,
  frequency_penalty: -0.1,
  response_format: {
    type: "json_schema",
    json_schema: { name: "n", description: "d", schema: { type: "object" }, strict: true },
  },
  reasoning_effort: "low",
  n: 2,
  logprobs: true,
  top_logprobs: 3,
  user: "u",
  service_tier: "flex",
  logit_bias: { "5": -100 },
};

test("writes a request back as it was read", () => {
  assert.deepEqual(openAi.encodeRequest(openAi.decodeRequest(full), options), { body: full, dropped: [] });
});

test("reads a request into the typed form", () => {
  const request = openAi.decodeRequest(full);
  assert.deepEqual(
    request.messages.map((message) => message.role),
    [Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT, Role.USER],
  );
  assert.equal(request.maxOutputTokens, 50n);
  assert.equal(request.toolChoice?.mode, ToolChoice_Mode.NAMED);
  assert.equal(request.responseFormat?.kind, ResponseFormat_Kind.JSON_SCHEMA);
  const image = request.messages[2]?.parts[2]?.content;
  assert.ok(image?.case === "image" && image.value.source.case === "data");
  assert.deepEqual([...image.value.source.value], [0, 1, 2]);
  assert.equal(image.value.mediaType, "image/png");
});

test("takes the smaller of two output limits", () => {
  const body = { model: "m", messages: [{ role: "user", content: "x" }], max_tokens: 5, max_completion_tokens: 9 };
  assert.equal(openAi.decodeRequest(body).maxOutputTokens, 5n);
  assert.equal(compatible.encodeRequest(openAi.decodeRequest(body), options).body["max_tokens"], 5);
});

test("asks for usage when it streams, except of servers that refuse the field", () => {
  const request = openAi.decodeRequest({ model: "m", messages: [{ role: "user", content: "x" }] });
  const streaming = { ...options, stream: true };
  assert.deepEqual(openAi.encodeRequest(request, streaming).body["stream_options"], { include_usage: true });
  const refusing = createOpenAiChatCodec({ streamOptions: false });
  assert.equal(refusing.encodeRequest(request, streaming).body["stream_options"], undefined);
});

/** What clients add to OpenAI's dialect so that thoughts survive. */
const extended: JsonObject = {
  model: "m",
  messages: [
    { role: "user", content: [{ type: "text", text: "q", cache_control: { type: "ephemeral", ttl: "1h" } }] },
    {
      role: "assistant",
      content: "a",
      reasoning_content: "thinking",
      reasoning_details: [
        { type: "reasoning.text", text: "thinking", signature: "sig==", index: 0 },
        { type: "reasoning.encrypted", data: "enc==", index: 1 },
      ],
      extra_content: { google: { thought_signature: "text-sig" } },
      tool_calls: [
        {
          id: "c1",
          type: "function",
          function: { name: "f", arguments: "{}" },
          extra_content: { google: { thought_signature: "call-sig" } },
        },
      ],
    },
    { role: "tool", tool_call_id: "c1", content: "1" },
  ],
  tools: [{ ...tool, cache_control: { type: "ephemeral" } }],
  top_k: 40,
};

test("keeps signatures, cache marks and other extensions for servers that accept them", () => {
  assert.deepEqual(compatible.encodeRequest(compatible.decodeRequest(extended), options), {
    body: extended,
    dropped: [],
  });
});

test("leaves extensions out for OpenAI, and says so", () => {
  const { body, dropped } = openAi.encodeRequest(openAi.decodeRequest(extended), options);
  assert.deepEqual(dropped, ["cache_control", "reasoning_content", "top_k"]);
  assert.doesNotMatch(JSON.stringify(body), /sig|cache_control|reasoning|top_k/);
});

test("reads thinking blocks as other clients send them", () => {
  const body = {
    model: "m",
    messages: [
      { role: "user", content: "q" },
      {
        role: "assistant",
        content: "a",
        reasoning_content: "t",
        thinking_blocks: [
          { type: "thinking", thinking: "t", signature: "s==" },
          { type: "thinking", thinking: "", signature: "empty==" },
          { type: "redacted_thinking", data: "d==" },
        ],
      },
      { role: "user", content: "q" },
    ],
  };
  const thoughts = openAi
    .decodeRequest(body)
    .messages[1]?.parts.flatMap(({ content }) =>
      content.case === "reasoning" ? [[content.value.text, content.value.signature, content.value.redactedData]] : [],
    );
  assert.deepEqual(thoughts, [
    ["t", "s==", ""],
    ["", "empty==", ""],
    ["", "", "d=="],
  ]);
});

test("writes results before the rest of their turn, and their pictures as the user's", () => {
  const request = openAi.decodeRequest(full);
  const user = request.messages[2];
  const result = request.messages[4]?.parts[0];
  const [, picture] = user?.parts ?? [];
  assert.ok(user && picture && result?.content.case === "toolResult");
  result.content.value.parts.push(picture);
  user.parts = [...user.parts.slice(0, 1), result];
  const { body } = openAi.encodeRequest({ ...request, messages: [user] }, options);
  assert.deepEqual(body["messages"], [
    { role: "tool", tool_call_id: "c1", content: "1" },
    {
      role: "user",
      content: [
        { type: "text", text: "look" },
        { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
      ],
      name: "ann",
    },
  ]);
});

const untranslatable: readonly (readonly [string, JsonObject, string])[] = [
  ["functions", { functions: [] }, "functions"],
  ["spoken answers", { modalities: ["text", "audio"] }, "modalities"],
  ["custom tools", { tools: [{ type: "custom" }] }, "tools[0].type"],
  [
    "an address that is no picture's",
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }] },
    "messages[0].content[0].image_url.url",
  ],
  [
    "broken base64",
    {
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,@@@@" } }] }],
    },
    "messages[0].content[0].image_url.url",
  ],
  [
    "an unknown part",
    { messages: [{ role: "user", content: [{ type: "video_url" }] }] },
    "messages[0].content[0].type",
  ],
];

for (const [name, fields, param] of untranslatable) {
  test(`refuses to translate ${name}`, () => {
    const body = { model: "m", messages: [{ role: "user", content: "x" }], ...fields };
    assert.throws(
      () => openAi.decodeRequest(body),
      (error) => error instanceof CodecError && error.param === param,
    );
  });
}

test("refuses to send what OpenAI cannot take and cannot do without", () => {
  const request = openAi.decodeRequest({ model: "m", messages: [{ role: "user", content: "x" }] });
  request.stopSequences = ["a", "b", "c", "d", "e"];
  assert.throws(
    () => openAi.encodeRequest(request, options),
    (error) => error instanceof CodecError && error.code === "unsupported_feature",
  );
  assert.deepEqual(compatible.encodeRequest(request, options).body["stop"], request.stopSequences);
});

test("turns a budget of thought into an effort", () => {
  const body = { model: "m", messages: [{ role: "user", content: "x" }] };
  const effort = (budget: number): unknown =>
    openAi.encodeRequest(
      openAi.decodeRequest({ ...body, thinking: { type: "enabled", budget_tokens: budget } }),
      options,
    ).body["reasoning_effort"];
  assert.deepEqual([1024, 4096, 20_000, -1].map(effort), ["low", "medium", "high", undefined]);
  const off = openAi.encodeRequest(openAi.decodeRequest({ ...body, thinking: { type: "disabled" } }), options);
  assert.deepEqual(off.dropped, ["reasoning_effort"]);
});
