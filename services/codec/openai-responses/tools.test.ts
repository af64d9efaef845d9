import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ChatResponseSchema, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, finishEvent, startEvent, toolCallDelta, toolCallStart } from "../chat/chat-events.ts";
import { message, toolCallPart } from "../chat/chat-parts.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { createOpenAiResponsesCodec } from "./openai-responses-codec.ts";
import { joinToolName, splitToolName } from "./tool-names.ts";

const codec = createOpenAiResponsesCodec();
const options = { fallbackId: "resp_1", fallbackCreated: 1, includeUsage: true };
const shell: JsonObject = { type: "function", name: "shell", parameters: { type: "object" } };
const patch: JsonObject = {
  type: "custom",
  name: "apply_patch",
  description: "Edits files.",
  format: { type: "grammar", syntax: "lark", definition: "start: x" },
};
const agents: JsonObject = { type: "namespace", name: "agents", tools: [{ ...shell, name: "spawn" }] };
const search: JsonObject = { type: "web_search", external_web_access: true };

function decode(fields: JsonObject, dropped = new Set<string>()) {
  return codec.decodeRequest({ model: "m", input: "hi", ...fields }, dropped);
}

test("leaves out what only OpenAI's servers run, and says so, where other tools are left", () => {
  const dropped = new Set<string>();
  const { tools } = decode({ tools: [shell, search, { type: "tool_search", execution: "client" }] }, dropped);
  assert.deepEqual(
    tools.map((tool) => tool.name),
    ["shell"],
  );
  assert.deepEqual([...dropped], ["tools.web_search", "tools.tool_search"]);
  const { toolChoice } = decode({
    tools: [shell, search],
    tool_choice: {
      type: "allowed_tools",
      mode: "auto",
      tools: [{ type: "web_search" }, { type: "function", name: "shell" }],
    },
  });
  assert.equal(toolChoice?.mode, ToolChoice_Mode.AUTO);
});

for (const [name, fields] of [
  ["nothing else may be called", { tools: [search] }],
  ["it must be called", { tools: [shell, search], tool_choice: { type: "web_search" } }],
  ["it reads what the caller keeps there", { tools: [shell, { type: "file_search", vector_store_ids: ["vs"] }] }],
] as const satisfies readonly (readonly [string, JsonObject])[]) {
  test(`refuses a tool that only OpenAI has where ${name}`, () => {
    assert.throws(
      () => decode(fields),
      (error) => error instanceof CodecError && error.code === "unsupported_feature",
    );
  });
}

for (const [name, tool, param] of [
  ["a text tool", { type: "custom" }, "tools[0].name"],
  ["a namespace", { type: "namespace", tools: [shell] }, "tools[0].name"],
  ["a function in a namespace", { ...agents, tools: [{ type: "function" }] }, "tools[0].tools[0].name"],
] as const satisfies readonly (readonly [string, JsonObject, string])[]) {
  test(`requires the name of ${name}`, () => {
    assert.throws(
      () => decode({ tools: [tool] }),
      (error) => error instanceof CodecError && error.param === param,
    );
  });
}

test("refuses a namespace in a namespace", () => {
  assert.throws(() => decode({ tools: [{ ...agents, tools: [agents] }] }), CodecError);
});

test("carries namespaces and tools that take a text through other dialects by their names", () => {
  const { tools, toolChoice } = decode({
    tools: [patch, agents],
    tool_choice: { type: "custom", name: "apply_patch" },
  });
  assert.deepEqual(
    tools.map((tool) => tool.name),
    ["apply_patch--text", "agents--ns--spawn"],
  );
  assert.match(tools[0]?.description ?? "", /^Edits files\.\n\n.*lark grammar:\nstart: x$/s);
  assert.equal(toolChoice?.toolName, "apply_patch--text");
  for (const name of ["a", "a--b", "--text", "--ns--x"]) {
    assert.equal(splitToolName(name).name, name);
  }
  for (const takesText of [false, true]) {
    const parts = { namespace: "agents", name: "spawn", takesText };
    assert.deepEqual(splitToolName(joinToolName(parts)), parts);
  }
});

test("takes their calls and outputs back, and skips what OpenAI's own tools did", () => {
  const { messages } = decode({
    input: [
      { role: "user", content: "go" },
      { type: "web_search_call", id: "ws_1", status: "completed" },
      { type: "custom_tool_call", call_id: "c1", name: "apply_patch", input: 'say "hi"' },
      { type: "function_call", call_id: "c2", name: "spawn", namespace: "agents", arguments: "{}" },
      { type: "custom_tool_call_output", call_id: "c1", output: "done" },
      { type: "function_call_output", call_id: "c2", output: "done" },
    ],
  });
  const calls = messages[1]?.parts.map(({ content }) =>
    content.case === "toolCall" ? [content.value.name, content.value.argumentsJson] : content.case,
  );
  assert.deepEqual(calls, [
    ["apply_patch--text", '{"input":"say \\"hi\\""}'],
    ["agents--ns--spawn", "{}"],
  ]);
  assert.equal(messages.length, 4);
});

test("requires the output of a call that takes a text", () => {
  const call = { type: "custom_tool_call", call_id: "c1", name: "apply_patch", input: "x" };
  assert.throws(() => decode({ input: [call] }), /No tool output found/);
});

test("writes their calls as the client's own kinds of items, whole and streamed", () => {
  const text = { id: "c1", name: "apply_patch--text" };
  const inner = { id: "c2", name: "agents--ns--spawn" };
  const whole = codec.encodeResponse(
    create(ChatResponseSchema, {
      model: "m",
      candidates: [
        {
          finishReason: FinishReason.TOOL_CALLS,
          message: message(1, [
            toolCallPart({ ...text, argumentsJson: '{"input":"a\\nb"}' }),
            toolCallPart({ ...inner, argumentsJson: "{}" }),
          ]),
        },
      ],
    }),
    options,
  );
  const bytes = codec
    .createStreamEncoder(options)
    .encode([
      startEvent("", "m"),
      toolCallStart(0, 0, text),
      toolCallDelta(0, 0, '{"input":"a'),
      toolCallDelta(0, 0, '\\nb"}'),
      toolCallStart(0, 1, inner),
      toolCallDelta(0, 1, "{}"),
      finishEvent(0, FinishReason.TOOL_CALLS, "stop"),
      endEvent(undefined),
    ]);
  const events = createSseDecoder()
    .push(bytes)
    .map(({ data }) => JSON.parse(data));
  const expected = [
    { type: "custom_tool_call", status: "completed", call_id: "c1", name: "apply_patch", input: "a\nb" },
    {
      type: "function_call",
      status: "completed",
      call_id: "c2",
      name: "spawn",
      namespace: "agents",
      arguments: "{}",
    },
  ];
  for (const output of [whole["output"], events.at(-1).response.output]) {
    assert.partialDeepStrictEqual(output, expected);
  }
  assert.deepEqual(
    events
      .filter(({ type }) => type.startsWith("response.custom"))
      .map(({ type, delta, input }) => [type, delta ?? input]),
    [
      ["response.custom_tool_call_input.delta", "a\nb"],
      ["response.custom_tool_call_input.done", "a\nb"],
    ],
  );
});

test("names other settings that are left out", () => {
  const dropped = new Set<string>();
  decode({ text: { verbosity: "low" }, max_tool_calls: 3 }, dropped);
  assert.deepEqual([...dropped], ["text.verbosity", "max_tool_calls"]);
});
