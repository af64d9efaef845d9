import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseFormat_Kind, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { decodeRequest } from "./decode-request.ts";

const base: JsonObject = { contents: [{ role: "user", parts: [{ text: "hi" }] }] };
const config = (value: JsonObject): JsonObject => ({ generationConfig: value });

const mistakes: readonly (readonly [string, JsonObject, string, string])[] = [
  ["no contents", { contents: null }, "contents", "missing_required_parameter"],
  ["empty contents", { contents: [] }, "contents", "empty_array"],
  ["contents that are a text", { contents: "hi" }, "contents", "invalid_type"],
  ["an unknown role", { contents: [{ role: "assistant", parts: [] }] }, "contents[0].role", "invalid_value"],
  ["an empty part", { contents: [{ parts: [{}] }] }, "contents[0].parts[0].text", "missing_required_parameter"],
  [
    "code that Gemini ran",
    { contents: [{ role: "model", parts: [{ executableCode: {} }] }] },
    "contents[0].parts[0]",
    "unsupported_feature",
  ],
  ["a cache at Gemini", { cachedContent: "cachedContents/1" }, "cachedContent", "unsupported_feature"],
  ["a tool of Gemini's", { tools: [{ googleSearch: {} }] }, "tools[0].googleSearch", "unsupported_feature"],
  [
    "a nameless tool",
    { tools: [{ functionDeclarations: [{}] }] },
    "tools[0].functionDeclarations[0].name",
    "missing_required_parameter",
  ],
  [
    "an unknown mode",
    { toolConfig: { functionCallingConfig: { mode: "SOME" } } },
    "toolConfig.functionCallingConfig.mode",
    "invalid_value",
  ],
  ["a hot temperature", config({ temperature: 3 }), "generationConfig.temperature", "decimal_above_max_value"],
  ["a limit of 0", config({ max_output_tokens: 0 }), "generationConfig.maxOutputTokens", "integer_below_min_value"],
  [
    "a budget below -1",
    config({ thinkingConfig: { thinkingBudget: -2 } }),
    "generationConfig.thinkingConfig.thinkingBudget",
    "integer_below_min_value",
  ],
  [
    "a picture as the answer",
    config({ responseModalities: ["TEXT", "IMAGE"] }),
    "generationConfig.responseModalities",
    "unsupported_feature",
  ],
];

for (const [name, change, param, code] of mistakes) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => decodeRequest({ ...base, ...change }),
      (error) => error instanceof CodecError && error.param === param && error.code === code,
    );
  });
}

test("reads camelCase and snake_case alike", () => {
  const camel = decodeRequest({
    contents: [
      {
        parts: [
          { inlineData: { mimeType: "image/png", data: "AAEC" } },
          { fileData: { fileUri: "https://x/a.pdf", mimeType: "application/pdf" } },
        ],
      },
    ],
    systemInstruction: { parts: { text: "be brief" } },
    toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["a"] } },
    tools: [{ functionDeclarations: [{ name: "a", parametersJsonSchema: { type: "object", some_key: {} } }] }],
    generationConfig: {
      maxOutputTokens: 5,
      topP: 0.5,
      topK: 40.0,
      stopSequences: ["x"],
      thinkingConfig: { thinkingBudget: -1, includeThoughts: true },
    },
  });
  const snake = decodeRequest({
    contents: {
      parts: [
        { inline_data: { mime_type: "image/png", data: "AAEC" } },
        { file_data: { file_uri: "https://x/a.pdf", mime_type: "application/pdf" } },
      ],
    },
    system_instruction: { parts: [{ text: "be brief" }] },
    tool_config: { function_calling_config: { mode: "any", allowed_function_names: ["a"] } },
    tools: { function_declarations: [{ name: "a", parameters_json_schema: { type: "object", some_key: {} } }] },
    generation_config: {
      max_output_tokens: 5,
      top_p: 0.5,
      top_k: 40,
      stop_sequences: ["x"],
      thinking_config: { thinking_budget: -1, include_thoughts: true },
    },
  });
  assert.deepEqual(snake, camel);
  assert.equal(camel.tools[0]?.parametersJson, '{"type":"object","some_key":{}}');
  assert.equal(camel.toolChoice?.mode, ToolChoice_Mode.NAMED);
  assert.equal(camel.reasoning?.budgetTokens, -1n);
  assert.equal(camel.model, "");
});

test("ties responses to the open calls of their name, whether ids came or not", () => {
  const { messages } = decodeRequest({
    contents: [
      { role: "user", parts: [{ text: "go" }] },
      {
        role: "model",
        parts: [
          { text: "hm", thought: true },
          { functionCall: { name: "a", args: { x: 1 } }, thoughtSignature: "sig" },
          { functionCall: { name: "a", args: { x: 2 } } },
          { functionCall: { name: "b", id: "given" } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { name: "b", id: "given", response: { error: "broken" } } },
          { functionResponse: { name: "a", response: { result: "1" } } },
          { functionResponse: { name: "a", response: { output: { y: 2 } } } },
          { text: "next" },
        ],
      },
    ],
  });
  const results = messages[2]?.parts.map(({ content }) => {
    assert.ok(content.case === "toolResult");
    const [text] = content.value.parts;
    return [content.value.toolCallId, content.value.isError, text?.content.case === "text" && text.content.value.text];
  });
  assert.deepEqual(
    messages.map(({ role }) => role),
    [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER],
  );
  assert.deepEqual(results, [
    ["given", true, "broken"],
    ["gcall_at_1_1", false, "1"],
    ["gcall_at_1_2", false, '{"output":{"y":2}}'],
  ]);
});

test("leaves out what only Gemini runs, and says so, where functions are left to call", () => {
  const declared = { functionDeclarations: [{ name: "a" }] };
  const dropped = new Set<string>();
  const { tools } = decodeRequest({ ...base, tools: [{ google_search: {} }, declared] }, dropped);
  assert.deepEqual([tools.map(({ name }) => name), [...dropped]], [["a"], ["tools.googleSearch"]]);
  assert.throws(() => decodeRequest({ ...base, tools: [{ fileSearch: {} }, declared] }), CodecError);
});

test("puts a turn together again that a client kept as it came in pieces", () => {
  const model = (...parts: JsonObject[]): JsonObject => ({ role: "model", parts });
  const { messages } = decodeRequest({
    contents: [
      { role: "user", parts: [{ text: "go" }] },
      model({ text: "Better ", thought: true }),
      model({ text: "look.", thought: true }, { text: "", thought: true, thoughtSignature: "sig" }),
      model({ text: "another", thought: true }),
      model({ text: "I " }),
      model({ text: "look." }, { functionCall: { name: "a" } }),
    ],
  });
  assert.equal(messages.length, 2);
  assert.deepEqual(
    messages[1]?.parts.map(({ content }) =>
      content.case === "reasoning" || content.case === "text"
        ? [content.case, content.value.text, content.value.signature]
        : content.case,
    ),
    [["reasoning", "Better look.", "sig"], ["reasoning", "another", ""], ["text", "I look.", ""], "toolCall"],
  );
});

test("turns Gemini's older schemas into JSON Schema", () => {
  const request = decodeRequest({
    ...base,
    tools: [
      {
        functionDeclarations: [
          {
            name: "a",
            parameters: {
              type: "OBJECT",
              properties: {
                type: { type: "STRING", nullable: true },
                list: { type: "ARRAY", items: { type: "INTEGER" }, minItems: "2" },
              },
              required: ["type"],
            },
          },
        ],
      },
    ],
    generationConfig: { responseMimeType: "application/json", responseSchema: { type: "STRING", enum: ["A", "B"] } },
  });
  assert.deepEqual(JSON.parse(request.tools[0]?.parametersJson ?? ""), {
    type: "object",
    properties: {
      type: { type: ["string", "null"] },
      list: { type: "array", items: { type: "integer" }, minItems: 2 },
    },
    required: ["type"],
  });
  assert.equal(request.responseFormat?.kind, ResponseFormat_Kind.JSON_SCHEMA);
  assert.equal(request.responseFormat.schemaJson, '{"type":"string","enum":["A","B"]}');
});

test("leaves only the tools that may be called", () => {
  const request = decodeRequest({
    ...base,
    tools: [{ functionDeclarations: [{ name: "a" }, { name: "b" }, { name: "c" }] }],
    toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["a", "c"] } },
  });
  assert.deepEqual(
    request.tools.map(({ name }) => name),
    ["a", "c"],
  );
  assert.equal(request.toolChoice?.mode, ToolChoice_Mode.REQUIRED);
});
