import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";
import { validateOpenAiResponsesRequest } from "./validate-request.ts";

const tool = { type: "function", name: "f" };
const call = { type: "function_call", call_id: "c", name: "f", arguments: "{}" };
const output = { type: "function_call_output", call_id: "c", output: "1" };

const refused: readonly (readonly [string, JsonObject, string, string])[] = [
  ["no model", { model: undefined }, "missing_required_parameter", "model"],
  ["an empty model", { model: "" }, "missing_required_parameter", "model"],
  ["a model of another type", { model: 4 }, "invalid_type", "model"],
  ["no input", { input: undefined }, "missing_required_parameter", "input"],
  ["input of another type", { input: 4 }, "invalid_type", "input"],
  ["empty input", { input: [] }, "empty_array", "input"],
  ["an item of another type", { input: ["x"] }, "invalid_type", "input[0]"],
  ["an item without a kind", { input: [{}] }, "missing_required_parameter", "input[0].type"],
  ["an item whose kind is a number", { input: [{ type: 1 }] }, "invalid_type", "input[0].type"],
  ["an unknown role", { input: [{ role: "tool", content: "x" }] }, "invalid_value", "input[0].role"],
  ["no content", { input: [{ role: "user" }] }, "missing_required_parameter", "input[0].content"],
  ["content of another type", { input: [{ role: "user", content: 1 }] }, "invalid_type", "input[0].content"],
  ["a part of another type", { input: [{ role: "user", content: [1] }] }, "invalid_type", "input[0].content[0]"],
  [
    "a part without a kind",
    { input: [{ role: "user", content: [{}] }] },
    "missing_required_parameter",
    "input[0].content[0].type",
  ],
  [
    "a text part without text",
    { input: [{ role: "user", content: [{ type: "input_text" }] }] },
    "missing_required_parameter",
    "input[0].content[0].text",
  ],
  [
    "a call without an id",
    { input: [{ ...call, call_id: undefined }] },
    "missing_required_parameter",
    "input[0].call_id",
  ],
  ["arguments as an object", { input: [{ ...call, arguments: {} }] }, "invalid_type", "input[0].arguments"],
  ["an output without a call", { input: [output] }, "invalid_value", "input"],
  ["a call without an output", { input: [call] }, "invalid_value", "input"],
  ["a summary of another type", { input: [{ type: "reasoning", summary: "x" }] }, "invalid_type", "input[0].summary"],
  ["a temperature above the limit", { temperature: 3 }, "decimal_above_max_value", "temperature"],
  ["a share below the limit", { top_p: -1 }, "decimal_below_min_value", "top_p"],
  ["a limit of 0", { max_output_tokens: 0 }, "integer_below_min_value", "max_output_tokens"],
  ["half a token", { max_output_tokens: 1.5 }, "invalid_type", "max_output_tokens"],
  ["a stream that is a string", { stream: "true" }, "invalid_type", "stream"],
  ["instructions as a list", { instructions: [] }, "invalid_type", "instructions"],
  ["a long user", { user: "x".repeat(513) }, "string_above_max_length", "user"],
  ["tools of another type", { tools: {} }, "invalid_type", "tools"],
  ["too many tools", { tools: Array.from({ length: 1025 }, () => tool) }, "array_above_max_length", "tools"],
  ["a tool of another type", { tools: [1] }, "invalid_type", "tools[0]"],
  ["a tool without a kind", { tools: [{}] }, "missing_required_parameter", "tools[0].type"],
  [
    "a tool in the form of chat completions",
    { tools: [{ type: "function", function: { name: "f" } }] },
    "missing_required_parameter",
    "tools[0].name",
  ],
  ["a tool's name with spaces", { tools: [{ ...tool, name: "a b" }] }, "invalid_value", "tools[0].name"],
  ["parameters of another type", { tools: [{ ...tool, parameters: 1 }] }, "invalid_type", "tools[0].parameters"],
  ["an unknown choice", { tools: [tool], tool_choice: "any" }, "invalid_value", "tool_choice"],
  ["a choice of another type", { tools: [tool], tool_choice: 1 }, "invalid_type", "tool_choice"],
  ["a choice without a kind", { tools: [tool], tool_choice: {} }, "missing_required_parameter", "tool_choice.type"],
  [
    "a choice without a name",
    { tools: [tool], tool_choice: { type: "function" } },
    "missing_required_parameter",
    "tool_choice.name",
  ],
  [
    "a choice among no tools",
    { tools: [tool], tool_choice: { type: "allowed_tools" } },
    "missing_required_parameter",
    "tool_choice.tools",
  ],
  ["a forced choice without tools", { tool_choice: "required" }, "invalid_value", "tool_choice"],
  ["text as a string", { text: "json" }, "invalid_type", "text"],
  ["a format as a string", { text: { format: "json" } }, "invalid_type", "text.format"],
  ["a format without a kind", { text: { format: {} } }, "missing_required_parameter", "text.format.type"],
  ["an unknown format", { text: { format: { type: "xml" } } }, "invalid_value", "text.format.type"],
  [
    "a schema without a name",
    { text: { format: { type: "json_schema", schema: {} } } },
    "missing_required_parameter",
    "text.format.name",
  ],
  [
    "a format without a schema",
    { text: { format: { type: "json_schema", name: "n" } } },
    "missing_required_parameter",
    "text.format.schema",
  ],
  [
    "a schema of another type",
    { text: { format: { type: "json_schema", name: "n", schema: 1 } } },
    "invalid_type",
    "text.format.schema",
  ],
  ["an effort of another type", { reasoning: { effort: 1 } }, "invalid_type", "reasoning.effort"],
  ["reasoning of another type", { reasoning: "low" }, "invalid_type", "reasoning"],
  ["include of another type", { include: "x" }, "invalid_type", "include"],
  ["an include of another type", { include: [1] }, "invalid_type", "include[0]"],
  ["metadata of another type", { metadata: [] }, "invalid_type", "metadata"],
  ["a metadata value of another type", { metadata: { a: 1 } }, "invalid_type", "metadata.a"],
  ["a long metadata key", { metadata: { ["a".repeat(65)]: "x" } }, "string_above_max_length", "metadata"],
  [
    "a metadata key that is a prototype's",
    JSON.parse('{"metadata":{"__proto__":"x"}}') as JsonObject,
    "invalid_value",
    "metadata",
  ],
  [
    "too much metadata",
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [String(index), "x"])) },
    "object_above_max_properties",
    "metadata",
  ],
  ["an address of its own", { base_url: "http://example.com" }, "unknown_parameter", "base_url"],
];

for (const [name, fields, code, param] of refused) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => validateOpenAiResponsesRequest({ model: "m", input: "hi", ...fields }),
      (error) => {
        assert.ok(error instanceof CodecError);
        assert.deepEqual([error.code, error.param], [code, param]);
        return true;
      },
    );
  });
}

const accepted: readonly (readonly [string, JsonObject])[] = [
  [
    "nulls",
    { temperature: null, tools: null, text: null, reasoning: null, metadata: null, previous_response_id: null },
  ],
  ["fields that are not known", { top_k: 3, client_metadata: {} }],
  ["no input beside a stored prompt", { input: undefined, prompt: { id: "p" } }],
  ["an output whose call is stored", { input: [output], previous_response_id: "resp_1" }],
  ["items and tools that are not known", { input: [{ type: "new_item" }], tools: [{ type: "new_tool" }] }],
  ["a reference without a kind", { input: [{ id: "msg_1" }] }],
  ["calls and their outputs", { input: [call, output] }],
];

for (const [name, fields] of accepted) {
  test(`accepts ${name}`, () => {
    assert.doesNotThrow(() => validateOpenAiResponsesRequest({ model: "m", input: "hi", ...fields }));
  });
}

test("throws nothing but CodecError, whatever the request", () => {
  const words = fc.constantFrom(
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "user",
    "assistant",
    "input_text",
    "input_image",
    "c",
    "function",
    "json_schema",
    "data:;base64,",
    "allowed_tools",
  );
  const keys = fc.constantFrom(
    "type",
    "role",
    "content",
    "call_id",
    "name",
    "arguments",
    "output",
    "summary",
    "encrypted_content",
    "text",
    "image_url",
    "file_data",
    "format",
    "schema",
    "tools",
    "effort",
  );
  const { tree } = fc.letrec<{ tree: Json }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      words,
      fc.constantFrom(null, 1, true),
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(keys, tie("tree"), { maxKeys: 5 }),
    ),
  }));
  const fields = ["input", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "instructions"];
  const codec = createOpenAiResponsesCodec();
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...fields), tree, { maxKeys: 4 }), (body) => {
      try {
        codec.decodeRequest({ model: "m", input: "hi", ...body });
      } catch (error) {
        assert.ok(error instanceof CodecError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
