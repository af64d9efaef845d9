import assert from "node:assert/strict";
import { test } from "node:test";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import { validateOpenAiChatRequest } from "./validate-request.ts";

const user = { role: "user", content: "hi" };
const call = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };
const calling = { role: "assistant", content: null, tool_calls: [call] };
const result = { role: "tool", tool_call_id: "call_1", content: "1" };
const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };

function request(fields: JsonObject): JsonObject {
  return { model: "m", messages: [user], ...fields };
}

function messages(...list: readonly Json[]): JsonObject {
  return { model: "m", messages: list };
}

const accepted: readonly (readonly [string, JsonObject])[] = [
  ["the least request", request({})],
  ["null for what is optional", request({ temperature: null, stop: null, tools: null, metadata: null, stream: null })],
  ["numbers at their limits", request({ temperature: 2, top_p: 0, n: 128, max_tokens: 1, presence_penalty: -2 })],
  ["an integer written as 1.0", request({ n: JSON.parse("1.0") })],
  ["four stops", request({ stop: ["a", "b", "c", "d"] })],
  [
    "calls with their results in any order",
    messages(user, { ...calling, tool_calls: [call, { ...call, id: "b" }] }, { ...result, tool_call_id: "b" }, result),
  ],
  ["a thought without content", messages(user, { role: "assistant", reasoning_content: "hm" }, user)],
  ["content parts of unknown types", messages({ role: "user", content: [{ type: "video_url", video_url: {} }] })],
  ["fields it does not know", request({ top_k: 4, made_up: true })],
  ["stream options with a stream", request({ stream: true, stream_options: { include_usage: false } })],
  ["metadata at its limits", request({ metadata: { ["k".repeat(64)]: "v".repeat(512) } })],
  ["a custom tool", request({ tools: [{ type: "custom", custom: { name: "c" } }] })],
  ["a named tool choice", request({ tools: [tool], tool_choice: { type: "function", function: { name: "f" } } })],
];

for (const [name, body] of accepted) {
  test(`accepts ${name}`, () => {
    validateOpenAiChatRequest(body);
  });
}

const refused: readonly (readonly [string, JsonObject, string, string])[] = [
  ["no model", { messages: [user] }, "missing_required_parameter", "model"],
  ["a model that is a number", request({ model: 1 }), "invalid_type", "model"],
  ["a model that is null", request({ model: null }), "invalid_type", "model"],
  ["no messages", { model: "m" }, "missing_required_parameter", "messages"],
  ["messages that are a string", { model: "m", messages: "hi" }, "invalid_type", "messages"],
  ["no message", messages(), "empty_array", "messages"],
  ["a message that is a string", messages("hi"), "invalid_type", "messages[0]"],
  ["an unknown role", messages({ role: "hacker", content: "x" }), "invalid_value", "messages[0].role"],
  ["no role", messages({ content: "x" }), "missing_required_parameter", "messages[0].role"],
  ["no content", messages({ role: "user" }), "missing_required_parameter", "messages[0].content"],
  ["null content", messages(user, { role: "user", content: null }), "invalid_type", "messages[1].content"],
  ["content that is an object", messages(user, { role: "user", content: {} }), "invalid_type", "messages[1].content"],
  [
    "an assistant with nothing",
    messages(user, { role: "assistant" }),
    "missing_required_parameter",
    "messages[1].content",
  ],
  [
    "a part without type",
    messages(user, user, { role: "user", content: [{ text: "x" }] }),
    "missing_required_parameter",
    "messages[2].content[0].type",
  ],
  [
    "a text part without text",
    messages({ role: "user", content: [{ type: "text" }] }),
    "missing_required_parameter",
    "messages[0].content[0].text",
  ],
  ["a name that is a number", messages({ ...user, name: 1 }), "invalid_type", "messages[0].name"],
  ["a tool message first", messages(result), "invalid_value", "messages[0].role"],
  [
    "a tool message for another call",
    messages(user, calling, { ...result, tool_call_id: "x" }),
    "invalid_value",
    "messages[2].role",
  ],
  ["a second result for one call", messages(user, calling, result, result), "invalid_value", "messages[3].role"],
  ["a call without result", messages(user, calling, user), "invalid_value", "messages[1]"],
  ["a call without result at the end", messages(user, calling), "invalid_value", "messages[1]"],
  [
    "a result without id",
    messages(user, calling, { role: "tool", content: "x" }),
    "missing_required_parameter",
    "messages[2].tool_call_id",
  ],
  [
    "two calls with one id",
    messages(user, { ...calling, tool_calls: [call, call] }, result),
    "invalid_value",
    "messages[1].tool_calls[1].id",
  ],
  ["no calls in the list", messages(user, { ...calling, tool_calls: [] }), "empty_array", "messages[1].tool_calls"],
  [
    "200 calls",
    messages(user, { ...calling, tool_calls: Array.from({ length: 200 }, () => call) }),
    "array_above_max_length",
    "messages[1].tool_calls",
  ],
  [
    "arguments that are an object",
    messages(user, { ...calling, tool_calls: [{ ...call, function: { name: "f", arguments: {} } }] }, result),
    "invalid_type",
    "messages[1].tool_calls[0].function.arguments",
  ],
  ["a temperature of 99", request({ temperature: 99 }), "decimal_above_max_value", "temperature"],
  ["a temperature below 0", request({ temperature: -0.1 }), "decimal_below_min_value", "temperature"],
  ["an infinite temperature", request({ temperature: JSON.parse("1e400") }), "decimal_above_max_value", "temperature"],
  ["a temperature that is a string", request({ temperature: "1" }), "invalid_type", "temperature"],
  ["a temperature that is a boolean", request({ temperature: true }), "invalid_type", "temperature"],
  ["n of 0", request({ n: 0 }), "integer_below_min_value", "n"],
  ["n of 129", request({ n: 129 }), "integer_above_max_value", "n"],
  ["max_tokens of 0", request({ max_tokens: 0 }), "integer_below_min_value", "max_tokens"],
  ["max_tokens of -1", request({ max_tokens: -1 }), "integer_below_min_value", "max_tokens"],
  ["max_tokens of 1.5", request({ max_tokens: 1.5 }), "invalid_type", "max_tokens"],
  ["max_tokens of 2^31", request({ max_tokens: 2 ** 31 }), "integer_above_max_value", "max_tokens"],
  [
    "max_completion_tokens of 2^53",
    request({ max_completion_tokens: 2 ** 53 }),
    "integer_above_max_value",
    "max_completion_tokens",
  ],
  ["a seed beyond 64 bits", request({ seed: 1e19 }), "integer_above_max_value", "seed"],
  ["five stops", request({ stop: ["a", "b", "c", "d", "e"] }), "array_above_max_length", "stop"],
  ["an empty stop", request({ stop: [""] }), "string_below_min_length", "stop[0]"],
  ["a stop that is a number", request({ stop: ["a", 1] }), "invalid_type", "stop[1]"],
  ["a stream that is a string", request({ stream: "true" }), "invalid_type", "stream"],
  [
    "stream options without stream",
    request({ stream_options: { include_usage: true } }),
    "invalid_value",
    "stream_options",
  ],
  ["129 tools", request({ tools: Array.from({ length: 129 }, () => tool) }), "array_above_max_length", "tools"],
  [
    "a tool without name",
    request({ tools: [{ type: "function", function: {} }] }),
    "missing_required_parameter",
    "tools[0].function.name",
  ],
  [
    "a tool with a bad name",
    request({ tools: [{ type: "function", function: { name: "a b" } }] }),
    "invalid_value",
    "tools[0].function.name",
  ],
  [
    "a tool without type",
    request({ tools: [{ function: { name: "f" } }] }),
    "missing_required_parameter",
    "tools[0].type",
  ],
  [
    "tool parameters that are a string",
    request({ tools: [{ type: "function", function: { name: "f", parameters: "{}" } }] }),
    "invalid_type",
    "tools[0].function.parameters",
  ],
  ["an unknown tool choice", request({ tools: [tool], tool_choice: "must" }), "invalid_value", "tool_choice"],
  ["a forced choice without tools", request({ tool_choice: "required" }), "invalid_value", "tool_choice"],
  [
    "an unknown response format",
    request({ response_format: { type: "xml" } }),
    "invalid_value",
    "response_format.type",
  ],
  [
    "a schema format without schema",
    request({ response_format: { type: "json_schema" } }),
    "missing_required_parameter",
    "response_format.json_schema",
  ],
  [
    "17 keys of metadata",
    request({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, key) => [`k${key}`, "v"])) }),
    "object_above_max_properties",
    "metadata",
  ],
  ["a metadata key of 65", request({ metadata: { ["k".repeat(65)]: "v" } }), "string_above_max_length", "metadata"],
  ["a metadata value of 513", request({ metadata: { k: "v".repeat(513) } }), "string_above_max_length", "metadata.k"],
  ["a metadata value that is an object", request({ metadata: { k: {} } }), "invalid_type", "metadata.k"],
  [
    "metadata that poisons prototypes",
    request({ metadata: JSON.parse('{"__proto__":"x"}') }),
    "invalid_value",
    "metadata",
  ],
  ["a logit bias of 101", request({ logit_bias: { 5: 101 } }), "decimal_above_max_value", "logit_bias.5"],
  ["a logit bias of a word", request({ logit_bias: { word: 1 } }), "invalid_value", "logit_bias"],
  ["a user that is an object", request({ user: { $gt: "" } }), "invalid_type", "user"],
  ["a user of a megabyte", request({ user: "u".repeat(1_000_000) }), "string_above_max_length", "user"],
  ["a base URL of the caller's own", request({ base_url: "http://x" }), "unknown_parameter", "base_url"],
];

for (const [name, body, code, param] of refused) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => validateOpenAiChatRequest(body),
      (error) => {
        assert.ok(error instanceof CodecError);
        assert.equal(error.code, code);
        assert.equal(error.param, param);
        assert.ok(error.message.length < 400, error.message);
        return true;
      },
    );
  });
}

test("says it in OpenAI's words", () => {
  assert.throws(() => validateOpenAiChatRequest({ model: "m" }), {
    message: "Missing required parameter: 'messages'.",
  });
  assert.throws(() => validateOpenAiChatRequest(request({ temperature: 99 })), {
    message: "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 99.0 instead.",
  });
  assert.throws(() => validateOpenAiChatRequest(messages({ role: "user", content: {} })), {
    message:
      "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an object instead.",
  });
});
