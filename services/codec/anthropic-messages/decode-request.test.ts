import assert from "node:assert/strict";
import { test } from "node:test";
import { Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { decodeRequest } from "./decode-request.ts";

const base: JsonObject = { model: "claude", max_tokens: 2000, messages: [{ role: "user", content: "hi" }] };

const mistakes: readonly (readonly [string, JsonObject, string, string])[] = [
  ["no model", { model: null }, "model", "missing_required_parameter"],
  ["an empty model", { model: "" }, "model", "invalid_value"],
  ["no limit", { max_tokens: null }, "max_tokens", "missing_required_parameter"],
  ["a limit of 0", { max_tokens: 0 }, "max_tokens", "integer_below_min_value"],
  ["a limit that is a text", { max_tokens: "9" }, "max_tokens", "invalid_type"],
  ["no messages", { messages: null }, "messages", "missing_required_parameter"],
  ["an empty list of messages", { messages: [] }, "messages", "empty_array"],
  ["messages that are an object", { messages: {} }, "messages", "invalid_type"],
  ["an unknown role", { messages: [{ role: "tool", content: "x" }] }, "messages[0].role", "invalid_value"],
  ["no content", { messages: [{ role: "user" }] }, "messages[0].content", "missing_required_parameter"],
  ["content that is a number", { messages: [{ role: "user", content: 1 }] }, "messages[0].content", "invalid_type"],
  [
    "text of no text",
    { messages: [{ role: "user", content: [{ type: "text" }] }] },
    "messages[0].content[0].text",
    "missing_required_parameter",
  ],
  [
    "a block of a server's tool",
    { messages: [{ role: "user", content: [{ type: "container_upload" }] }] },
    "messages[0].content[0]",
    "unsupported_feature",
  ],
  ["a hot temperature", { temperature: 1.5 }, "temperature", "decimal_above_max_value"],
  [
    "a budget as large as the limit",
    { thinking: { type: "enabled", budget_tokens: 2000 } },
    "thinking.budget_tokens",
    "invalid_value",
  ],
  [
    "a small budget",
    { thinking: { type: "enabled", budget_tokens: 5 } },
    "thinking.budget_tokens",
    "integer_below_min_value",
  ],
  [
    "a server's tool",
    { tools: [{ type: "web_search_20250305", name: "web_search" }] },
    "tools[0]",
    "unsupported_feature",
  ],
  ["a tool without schema", { tools: [{ name: "x" }] }, "tools[0].input_schema", "missing_required_parameter"],
  ["an unknown choice", { tool_choice: { type: "some" } }, "tool_choice.type", "invalid_value"],
  ["stops that are a text", { stop_sequences: "x" }, "stop_sequences", "invalid_type"],
];

for (const [name, change, param, code] of mistakes) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => decodeRequest({ ...base, ...change }),
      (error) => error instanceof CodecError && error.param === param && error.code === code,
    );
  });
}

test("reads every kind of block", () => {
  const request = decodeRequest({
    ...base,
    system: [{ type: "text", text: "be brief", cache_control: { type: "ephemeral", ttl: "1h" } }],
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "look" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "AAEC" } },
          { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "words" }, title: "a.txt" },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "", signature: "sig" },
          { type: "redacted_thinking", data: "opaque" },
          { type: "text", text: "calling" },
          { type: "tool_use", id: "t1", name: "add", input: { a: 1 } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "2" }], is_error: true },
          { type: "text", text: "and?" },
        ],
      },
    ],
    tools: [
      { name: "add", description: "adds", input_schema: { type: "object" }, cache_control: { type: "ephemeral" } },
    ],
    tool_choice: { type: "tool", name: "add", disable_parallel_tool_use: true },
    thinking: { type: "adaptive", display: "omitted" },
    output_config: { effort: "medium", format: { type: "json_schema", schema: { type: "object" } } },
    metadata: { user_id: "u" },
  });
  assert.deepEqual(
    request.messages.map(({ role, parts }) => [role, ...parts.map(({ content }) => content.case)]),
    [
      [Role.SYSTEM, "text"],
      [Role.USER, "text", "image", "image", "file"],
      [Role.ASSISTANT, "reasoning", "reasoning", "text", "toolCall"],
      [Role.TOOL, "toolResult"],
      [Role.USER, "text"],
    ],
  );
  assert.equal(request.messages[0]?.parts[0]?.cacheControl?.ttl, "1h");
  assert.equal(request.toolChoice?.mode, ToolChoice_Mode.NAMED);
  assert.equal(request.parallelToolCalls, false);
  assert.equal(request.reasoning?.budgetTokens, -1n);
  assert.equal(request.reasoning?.effort, "medium");
  assert.equal(request.reasoning?.includeThoughts, false);
  assert.equal(request.responseFormat?.schemaJson, '{"type":"object"}');
  assert.equal(request.endUserId, "u");
});

test("leaves out what only Anthropic's servers run, and says so, where other tools are left to call", () => {
  const own = { name: "a", input_schema: { type: "object" } };
  const search = { type: "web_search_20250305", name: "web_search" };
  const dropped = new Set<string>();
  const { tools } = decodeRequest({ ...base, tools: [search, own] }, dropped);
  assert.deepEqual([tools.map(({ name }) => name), [...dropped]], [["a"], ["tools.web_search_20250305"]]);
  const forced = { tools: [search, own], tool_choice: { type: "tool", name: "web_search" } };
  for (const refused of [{ tools: [search] }, forced, { tools: [{ type: "bash_20250124", name: "bash" }, own] }]) {
    assert.throws(() => decodeRequest({ ...base, ...refused }), CodecError);
  }
});

test("names the fields of Anthropic's own features, which it leaves out", () => {
  const dropped = new Set<string>();
  decodeRequest(
    { ...base, context_management: { edits: [] }, stream: true, system: "x", inference_geo: null },
    dropped,
  );
  assert.deepEqual([...dropped], ["context_management"]);
});
