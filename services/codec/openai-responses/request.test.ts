import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseFormat_Kind, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeRequestOptions, type JsonObject } from "../codec.ts";
import { createOpenAiChatCodec } from "../openai-chat/openai-chat-codec.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";

const codec = createOpenAiResponsesCodec();
const chat = createOpenAiChatCodec();
const options: EncodeRequestOptions = { model: "m", stream: false, defaultMaxOutputTokens: 100 };

const tool = {
  type: "function",
  name: "f",
  description: "d",
  parameters: { type: "object", properties: {} },
  strict: true,
};

/** A request with everything that the dialect and the intermediate form share. */
const full: JsonObject = {
  model: "m",
  instructions: "s",
  input: [
    { role: "developer", content: "d" },
    {
      role: "user",
      content: [
        { type: "input_text", text: "look" },
        { type: "input_image", image_url: "https://example.com/a.png", detail: "low" },
        { type: "input_image", image_url: "data:image/png;base64,AAEC", detail: "auto" },
        { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AAEC" },
        { type: "input_file", file_id: "file-1" },
        { type: "input_file", file_url: "https://example.com/a.pdf" },
      ],
    },
    { type: "reasoning", summary: [{ type: "summary_text", text: "Hm" }], encrypted_content: "one==" },
    { role: "assistant", content: [{ type: "output_text", text: "let me see" }] },
    { type: "reasoning", summary: [], encrypted_content: "two==" },
    { type: "function_call", call_id: "c1", name: "f", arguments: '{"x":1}' },
    { type: "function_call", call_id: "c2", name: "f", arguments: "{}" },
    { type: "function_call_output", call_id: "c1", output: "1" },
    {
      type: "function_call_output",
      call_id: "c2",
      output: [
        { type: "input_text", text: "seen" },
        { type: "input_image", image_url: "data:image/png;base64,AAEC", detail: "auto" },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "output_text", text: "done" },
        { type: "refusal", refusal: "but not that" },
      ],
    },
    { role: "assistant", content: [{ type: "output_text", text: "and more" }] },
    { role: "user", content: "thanks" },
  ],
  tools: [tool],
  tool_choice: { type: "function", name: "f" },
  parallel_tool_calls: false,
  max_output_tokens: 50,
  temperature: 0.5,
  top_p: 0.9,
  text: { format: { type: "json_schema", name: "n", description: "d", schema: { type: "object" }, strict: true } },
  reasoning: { effort: "low", summary: "auto" },
  user: "u",
  service_tier: "flex",
  metadata: { a: "b" },
  store: false,
  include: ["reasoning.encrypted_content", "message.output_text.logprobs"],
  top_logprobs: 3,
};

/** A request whose conversation is `input`. */
function ask(input: JsonObject["input"], fields: JsonObject = {}): JsonObject {
  return { model: "m", input, ...fields };
}

function hasCode(code: string, param?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CodecError);
    assert.deepEqual([error.code, error.param ?? ""], [code, param ?? error.param ?? ""]);
    return true;
  };
}

test("writes a request back as it was read, thoughts in their places", () => {
  assert.deepEqual(codec.encodeRequest(codec.decodeRequest(full), options), { body: full, dropped: [] });
});

test("reads a request into the typed form", () => {
  const request = codec.decodeRequest(full);
  const { SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL } = Role;
  assert.deepEqual(
    request.messages.map((message) => message.role),
    [SYSTEM, DEVELOPER, USER, ASSISTANT, TOOL, TOOL, ASSISTANT, ASSISTANT, USER],
  );
  assert.deepEqual(
    request.messages[3]?.parts.map((part) => part.content.case),
    ["reasoning", "text", "reasoning", "toolCall", "toolCall"],
  );
  assert.equal(request.maxOutputTokens, 50n);
  assert.equal(request.toolChoice?.mode, ToolChoice_Mode.NAMED);
  assert.equal(request.responseFormat?.kind, ResponseFormat_Kind.JSON_SCHEMA);
  assert.equal(request.reasoning?.includeThoughts, true);
  assert.equal(request.topLogprobs, 3);
});

test("reads text as the user's message", () => {
  const [message] = codec.decodeRequest(ask("hi")).messages;
  assert.equal(message?.role, Role.USER);
  assert.deepEqual(codec.encodeRequest(codec.decodeRequest(ask("hi")), options).body["input"], [
    { role: "user", content: "hi" },
  ]);
});

test("makes of a choice among some tools a choice among no others", () => {
  const choice = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "g" }] };
  const request = codec.decodeRequest(ask("hi", { tools: [tool, { ...tool, name: "g" }], tool_choice: choice }));
  assert.deepEqual(
    request.tools.map(({ name }) => name),
    ["g"],
  );
  assert.equal(request.toolChoice?.mode, ToolChoice_Mode.REQUIRED);
});

test("says what strict is, since leaving it out would mean true", () => {
  const request = codec.decodeRequest(ask("hi", { tools: [{ type: "function", name: "f", parameters: null }] }));
  assert.equal(request.tools[0]?.strict, undefined);
  assert.deepEqual(codec.encodeRequest(request, options).body["tools"], [
    { type: "function", name: "f", parameters: { type: "object", properties: {} }, strict: false },
  ]);
});

test("asks for encrypted thoughts only where thoughts are replayed or asked for", () => {
  const included = (body: JsonObject): unknown =>
    codec.encodeRequest(codec.decodeRequest(body), options).body["include"];
  assert.equal(included(ask("hi")), undefined);
  assert.equal(included(ask("hi", { reasoning: { effort: "none" } })), undefined);
  assert.deepEqual(included(ask("hi", { reasoning: { effort: "high" } })), ["reasoning.encrypted_content"]);
  const thought = { type: "reasoning", summary: [], encrypted_content: "e==" };
  assert.deepEqual(included(ask([{ role: "user", content: "a" }, thought, { role: "assistant", content: "b" }])), [
    "reasoning.encrypted_content",
  ]);
});

test("raises the output limit to what OpenAI takes, and asks for a stream", () => {
  const request = codec.decodeRequest(ask("hi", { max_output_tokens: 3 }));
  const { body } = codec.encodeRequest(request, { ...options, stream: true });
  assert.deepEqual(body, {
    model: "m",
    input: [{ role: "user", content: "hi" }],
    max_output_tokens: 16,
    store: false,
    stream: true,
  });
});

test("leaves out what only tunes the answer, and says so in the words of chat completions", () => {
  const request = chat.decodeRequest({
    model: "m",
    messages: [
      { role: "user", content: [{ type: "text", text: "q", cache_control: { type: "ephemeral" } }], name: "ann" },
      { role: "assistant", content: "a", reasoning_content: "unsigned" },
      { role: "user", content: "q" },
    ],
    seed: 1,
    presence_penalty: 1,
    frequency_penalty: 1,
    logit_bias: { "5": 1 },
    top_k: 3,
    thinking: { type: "disabled" },
  });
  const { body, dropped } = codec.encodeRequest(request, options);
  assert.deepEqual(dropped, [
    "cache_control",
    "frequency_penalty",
    "logit_bias",
    "messages.name",
    "presence_penalty",
    "reasoning_content",
    "reasoning_effort",
    "seed",
    "top_k",
  ]);
  assert.deepEqual(body, {
    model: "m",
    input: [
      { role: "user", content: "q" },
      { role: "assistant", content: [{ type: "output_text", text: "a" }] },
      { role: "user", content: "q" },
    ],
    store: false,
  });
});

test("turns a budget of thought into an effort", () => {
  const effort = (budget: number): unknown => {
    const body = { model: "m", messages: [{ role: "user", content: "x" }] };
    const request = chat.decodeRequest({ ...body, thinking: { type: "enabled", budget_tokens: budget } });
    return codec.encodeRequest(request, options).body["reasoning"];
  };
  assert.deepEqual([1024, 4096, 20_000, -1].map(effort), [
    { effort: "low" },
    { effort: "medium" },
    { effort: "high" },
    undefined,
  ]);
});

for (const [name, fields, param] of [
  ["several answers", { n: 2 }, "n"],
  ["stop sequences", { stop: ["x"] }, "stop"],
  [
    "audio",
    {
      messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "AAEC", format: "wav" } }] }],
    },
    "messages",
  ],
] as const) {
  test(`refuses to send ${name}`, () => {
    const request = chat.decodeRequest({ model: "m", messages: [{ role: "user", content: "x" }], ...fields });
    assert.throws(() => codec.encodeRequest(request, options), hasCode("unsupported_feature", param));
  });
}

for (const [name, fields, param] of [
  ["an earlier response", { previous_response_id: "resp_1" }, "previous_response_id"],
  ["a conversation", { conversation: "conv_1" }, "conversation"],
  ["a stored prompt", { prompt: { id: "p" } }, "prompt"],
  ["background work", { background: true }, "background"],
  ["a tool of the provider", { tools: [{ type: "web_search" }] }, "tools[0].type"],
  ["a tool that the caller runs in OpenAI's form", { tools: [tool, { type: "local_shell" }] }, "tools[1].type"],
  ["the choice of a provider's tool", { tools: [tool], tool_choice: { type: "file_search" } }, "tool_choice"],
  ["a stored item", { input: [{ type: "item_reference", id: "msg_1" }] }, "input[0].type"],
  ["a call of a provider's tool", { input: [{ type: "file_search_call", id: "fs_1" }] }, "input[0].type"],
  [
    "a stored picture",
    { input: [{ role: "user", content: [{ type: "input_image", file_id: "file-1" }] }] },
    "input[0].content[0].file_id",
  ],
] as const satisfies readonly (readonly [string, JsonObject, string])[]) {
  test(`refuses to translate ${name}`, () => {
    assert.throws(() => codec.decodeRequest(ask("hi", fields)), hasCode("unsupported_feature", param));
  });
}

test("leaves out what the answer does not depend on", () => {
  const extra = {
    store: true,
    truncation: "auto",
    prompt_cache_key: "k",
    background: false,
    previous_response_id: null,
    include: ["message.input_image.image_url"],
    text: { verbosity: "low" },
    max_tool_calls: 3,
    client_metadata: { session: "1" },
  };
  assert.deepEqual(codec.decodeRequest(ask("hi", extra)), codec.decodeRequest(ask("hi")));
});

for (const [name, content, code, param] of [
  ["an unknown part", { type: "input_video" }, "invalid_value", "type"],
  [
    "an address that is no picture's",
    { type: "input_image", image_url: "file:///etc/passwd" },
    "invalid_image_url",
    "image_url",
  ],
  ["broken base64", { type: "input_image", image_url: "data:image/png;base64,@@@@" }, "invalid_value", "image_url"],
  ["a picture without a source", { type: "input_image" }, "missing_required_parameter", "image_url"],
  ["an address that is no file's", { type: "input_file", file_url: "file:///etc/passwd" }, "invalid_value", "file_url"],
  ["a file without a source", { type: "input_file" }, "missing_required_parameter", "file_data"],
] as const) {
  test(`refuses ${name} in the content`, () => {
    const body = ask([{ role: "user", content: [content] }]);
    assert.throws(() => codec.decodeRequest(body), hasCode(code, `input[0].content[0].${param}`));
  });
}

test("reads sounds, bare base64 and the shapes of chat completions that clients send", () => {
  const body = ask([
    {
      role: "user",
      content: [
        { type: "input_audio", input_audio: { data: "AAEC", format: "mp3" } },
        { type: "input_file", filename: "a.PDF", file_data: "AAEC" },
        { type: "input_image", image_url: { url: "https://example.com/a.png" } },
        { type: "text", text: "x" },
      ],
    },
  ]);
  const cases = codec.decodeRequest(body).messages[0]?.parts.map(({ content }) => content);
  assert.deepEqual(
    cases?.map(({ case: kind, value }) => [kind, value && "mediaType" in value ? value.mediaType : ""]),
    [
      ["audio", "audio/mpeg"],
      ["file", "application/pdf"],
      ["image", ""],
      ["text", ""],
    ],
  );
});
