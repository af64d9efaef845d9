import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CacheControlSchema,
  ChatRequestSchema,
  ResponseFormat_Kind,
  Role,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  filePart,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
  withCacheControl,
} from "../chat/chat-parts.ts";
import type { EncodedRequest, JsonObject } from "../codec.ts";
import { createBedrockConverseCodec } from "./bedrock-converse-codec.ts";

const codec = createBedrockConverseCodec();
const claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const hello = message(Role.USER, [textPart("Hello")]);
const mark = (ttl = "") => create(CacheControlSchema, { ttl });
const png = Buffer.from("\x89PNG\r\n", "latin1");

function encode(request: MessageInitShape<typeof ChatRequestSchema>, model = claude): EncodedRequest {
  return codec.encodeRequest(create(ChatRequestSchema, { messages: [hello], ...request }), {
    model,
    stream: false,
    defaultMaxOutputTokens: 4096,
  });
}

const tool = { name: "f", parametersJson: '{"properties":{"a":{}},"anyOf":[{}]}', strict: true };

test("merges turns, puts results first, and begins with the user", () => {
  const { body } = encode({
    messages: [
      message(Role.SYSTEM, [textPart("Be kind.")]),
      message(Role.ASSISTANT, [toolCallPart({ id: "call.1/x", name: "f", argumentsJson: "" })]),
      message(Role.USER, [textPart("and?")]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "call.1/x", parts: [], isError: true })]),
      message(Role.ASSISTANT, [textPart("So: \n")]),
    ],
    tools: [tool],
  });
  assert.deepEqual(body["system"], [{ text: "Be kind." }]);
  const id = "call_2e_1_2f_x";
  assert.deepEqual(body["messages"], [
    { role: "user", content: [{ text: "." }] },
    { role: "assistant", content: [{ toolUse: { toolUseId: id, name: "f", input: {} } }] },
    {
      role: "user",
      content: [
        { toolResult: { toolUseId: id, content: [{ text: "(no output)" }], status: "error" } },
        { text: "and?" },
      ],
    },
    { role: "assistant", content: [{ text: "So:" }] },
  ]);
});

test("keeps ids that others than Claude make, and shortens long ones so that they stay apart", () => {
  const idOf = (id: string, model: string): unknown => {
    const call = message(Role.ASSISTANT, [toolCallPart({ id, name: "f", argumentsJson: "{}" })]);
    const { body } = encode({ messages: [hello, call] }, model);
    return JSON.stringify(body).match(/"toolUseId":"([^"]*)"/)?.[1];
  };
  assert.equal(idOf("functions.f:0", "moonshot.kimi-k2-thinking"), "functions.f:0");
  assert.equal(idOf("functions.f:0", claude), "functions_2e_f_3a_0");
  const long = "x".repeat(100);
  const [one, other] = [`${long}1`, `${long}2`].map((id) => String(idOf(id, claude)));
  assert.notEqual(one, other);
  assert.ok([one, other].every((id) => /^[a-zA-Z0-9_-]{1,64}$/.test(id ?? "")));
});

test("names the tools of a conversation that offers none any more, and asks not to call them", () => {
  const messages = [
    hello,
    message(Role.ASSISTANT, [toolCallPart({ id: "a", name: "f", argumentsJson: "{}" })]),
    message(Role.TOOL, [toolResultPart({ toolCallId: "a", parts: [textPart("1")] })]),
  ];
  const { body } = encode({ messages });
  assert.deepEqual(body["toolConfig"], {
    tools: [{ toolSpec: { name: "f", inputSchema: { json: { type: "object" } } } }],
  });
  assert.match(JSON.stringify(body["system"]), /Do not call/);
  const none = { toolChoice: { mode: ToolChoice_Mode.NONE } };
  assert.match(JSON.stringify(encode({ messages, tools: [tool], ...none }).body["system"]), /Do not call/);
  assert.equal(encode({ tools: [tool], ...none }).body["toolConfig"], undefined);
});

test("writes tools and their choice, and drops what only some models take", () => {
  const { body, dropped } = encode({ tools: [tool], toolChoice: { mode: ToolChoice_Mode.NAMED, toolName: "f" } });
  const json = { properties: { a: {} }, type: "object" };
  assert.deepEqual(body["toolConfig"], {
    tools: [{ toolSpec: { name: "f", inputSchema: { json }, strict: true } }],
    toolChoice: { tool: { name: "f" } },
  });
  assert.deepEqual(dropped, ["tools.parameters.anyOf"]);
  const nova = encode({ tools: [tool], toolChoice: { mode: ToolChoice_Mode.REQUIRED } }, "amazon.nova-pro-v1:0");
  assert.deepEqual(nova.dropped, ["tools.strict"]);
  assert.deepEqual((nova.body["toolConfig"] as JsonObject)["toolChoice"], { any: {} });
});

test("sets marks of the cache behind their parts, never right behind a document, and for models with a cache only", () => {
  const pdf = filePart({ case: "data", value: Buffer.from("%PDF-1") }, "", "My_report. v2.pdf");
  const request = {
    messages: [
      message(Role.SYSTEM, [withCacheControl(textPart("long"), mark())]),
      message(Role.USER, [withCacheControl(pdf, mark("1h")), textPart("Sum it up."), pdf]),
    ],
    tools: [{ name: "f", cacheControl: mark() }],
  };
  const { body, dropped } = encode(request);
  assert.deepEqual(body["system"], [{ text: "long" }, { cachePoint: { type: "default" } }]);
  const bytes = Buffer.from("%PDF-1").toString("base64");
  assert.deepEqual((body["messages"] as readonly JsonObject[])[0]?.["content"], [
    { document: { format: "pdf", name: "My-report- v2", source: { bytes } } },
    { text: "Sum it up." },
    { cachePoint: { type: "default", ttl: "1h" } },
    { document: { format: "pdf", name: "My-report- v2 (2)", source: { bytes } } },
  ]);
  assert.equal(JSON.stringify(body["toolConfig"]).includes('{"cachePoint":{"type":"default"}}'), true);
  assert.deepEqual(dropped, []);
  const llama = encode(request, "meta.llama3-70b-instruct-v1:0");
  assert.equal(JSON.stringify(llama.body).includes("cachePoint"), false);
  assert.deepEqual(llama.dropped, ["cache_control"]);
});

test("gives a message with a document a text, and pictures the format of their bytes", () => {
  const { body } = encode({
    messages: [
      message(Role.USER, [
        filePart({ case: "data", value: Buffer.from("a,b") }, "text/csv"),
        imagePart({ case: "data", value: png }, "image/jpeg"),
        filePart({ case: "url", value: "s3://bucket/a.mp4" }, "video/mp4"),
      ]),
    ],
  });
  assert.deepEqual((body["messages"] as readonly JsonObject[])[0]?.["content"], [
    { document: { format: "csv", name: "document", source: { bytes: Buffer.from("a,b").toString("base64") } } },
    { image: { format: "png", source: { bytes: png.toString("base64") } } },
    { video: { format: "mp4", source: { s3Location: { uri: "s3://bucket/a.mp4" } } } },
    { text: "." },
  ]);
});

test("sends thoughts back that were signed or encrypted, and no others", () => {
  const { body, dropped } = encode({
    messages: [
      hello,
      message(Role.ASSISTANT, [
        reasoningPart({ text: "", signature: "sig" }),
        reasoningPart({ redactedData: "EroB==" }),
        reasoningPart({ text: "somebody else's" }),
        textPart("Hi"),
      ]),
      hello,
    ],
  });
  assert.deepEqual((body["messages"] as readonly JsonObject[])[1]?.["content"], [
    { reasoningContent: { reasoningText: { text: "", signature: "sig" } } },
    { reasoningContent: { redactedContent: Buffer.from("EroB==").toString("base64") } },
    { text: "Hi" },
  ]);
  assert.deepEqual(dropped, ["reasoning_content"]);
});

test("says how much to think in the words of each maker", () => {
  const table = [
    [claude, { effort: "low" }, { thinking: { type: "enabled", budget_tokens: 1024 } }],
    [
      "us.anthropic.claude-sonnet-4-6",
      { effort: "high" },
      { thinking: { type: "adaptive" }, output_config: { effort: "high" } },
    ],
    [
      "us.amazon.nova-2-lite-v1:0",
      { effort: "high" },
      { reasoningConfig: { type: "enabled", maxReasoningEffort: "high" } },
    ],
    ["openai.gpt-oss-120b-1:0", { budgetTokens: 4000n }, { reasoning_effort: "medium" }],
    ["meta.llama3-70b-instruct-v1:0", { effort: "low" }, undefined],
  ] as const;
  for (const [model, reasoning, fields] of table) {
    assert.deepEqual(encode({ reasoning }, model).body["additionalModelRequestFields"], fields, model);
  }
  // A budget has to be below the limit, which has to be there.
  assert.deepEqual(encode({ reasoning: { effort: "low" }, temperature: 0.5 }).body["inferenceConfig"], {
    maxTokens: 4096,
  });
  assert.deepEqual(encode({ reasoning: { effort: "low" } }, "meta.llama3").dropped, ["reasoning_effort"]);
});

test("keeps to what samplers of each model take", () => {
  const sampling = {
    temperature: 1.7,
    topP: 0.9,
    topK: 5n,
    maxOutputTokens: 9n,
    stopSequences: [" ", "END"],
    seed: 1n,
  };
  const { body, dropped } = encode(sampling);
  assert.deepEqual(body["inferenceConfig"], { maxTokens: 9, temperature: 1, stopSequences: ["END"] });
  assert.deepEqual(body["additionalModelRequestFields"], { top_k: 5 });
  assert.deepEqual(body["additionalModelResponseFieldPaths"], ["/stop_sequence"]);
  assert.deepEqual(dropped, ["seed", "top_p"]);
  const nova = encode({ topK: 5n, topP: 0.9, temperature: 0.2 }, "amazon.nova-pro-v1:0");
  assert.deepEqual(nova.body["inferenceConfig"], { temperature: 0.2, topP: 0.9 });
  assert.deepEqual(nova.body["additionalModelRequestFields"], { inferenceConfig: { topK: 5 } });
});

test("asks for answers in a form, and tells models without instructions so in the conversation", () => {
  const responseFormat = {
    kind: ResponseFormat_Kind.JSON_SCHEMA,
    name: "a",
    schemaJson: '{"type":"object","properties":{"b":{"type":"string"}}}',
  };
  assert.deepEqual(encode({ responseFormat }).body["outputConfig"], {
    textFormat: {
      type: "json_schema",
      structure: {
        jsonSchema: {
          schema: '{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false}',
          name: "a",
        },
      },
    },
  });
  const titan = encode(
    {
      messages: [message(Role.SYSTEM, [textPart("Be kind.")]), hello],
      responseFormat: { kind: ResponseFormat_Kind.JSON_OBJECT },
    },
    "amazon.titan-text-express-v1",
  );
  assert.equal(titan.body["system"], undefined);
  assert.match(JSON.stringify(titan.body["messages"]), /Reply with one valid JSON object.*Be kind\..*Hello/);
});

test("names what it drops, and refuses what would change the meaning", () => {
  const { dropped, body } = encode({
    logitBias: { "1": 2 },
    endUserId: "u",
    parallelToolCalls: false,
    serviceTier: "auto",
    metadata: { feature: "search" },
  });
  assert.deepEqual(dropped, ["logit_bias", "parallel_tool_calls", "user"]);
  assert.deepEqual(body["requestMetadata"], { feature: "search" });
  assert.deepEqual(encode({ metadata: { käse: "x" } }).dropped, ["metadata"]);
  const url = imagePart({ case: "url", value: "https://example.com/a.png" }, "");
  for (const request of [
    { candidateCount: 2 },
    { messages: [message(Role.USER, [url])] },
    { messages: [message(Role.USER, [filePart({ case: "fileId", value: "file-1" }, "")])] },
    { messages: [message(Role.USER, [filePart({ case: "data", value: Buffer.of(0) }, "application/zip")])] },
  ]) {
    assert.throws(() => encode(request), { code: "unsupported_feature" });
  }
});

test("refuses requests that Bedrock would refuse, and what only Bedrock has, by the path of what is wrong", () => {
  const said = { role: "user", content: [{ text: "x" }] };
  const table = [
    [{ messages: [] }, "messages"],
    [{ messages: [{ role: "robot", content: [] }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: [{ searchResult: {} }] }] }, "messages[0].content[0]"],
    [{ messages: [said], guardrailConfig: {} }, "guardrailConfig"],
    [{ messages: [said], toolConfig: { tools: [{ systemTool: {} }] } }, "toolConfig.tools[0]"],
    [{ messages: [said], inferenceConfig: { maxTokens: 0 } }, "inferenceConfig.maxTokens"],
  ] as const;
  for (const [body, param] of table) {
    assert.throws(() => codec.decodeRequest(body), { name: "CodecError", param });
  }
});

test("reads answers of all shapes, and errors that came with status 200", () => {
  const answer = codec.decodeResponse({
    output: {
      message: { role: "assistant", content: [{ citationsContent: { content: [{ text: "a" }, { text: "b" }] } }] },
    },
    stopReason: "end_turn",
    usage: { inputTokens: 120, outputTokens: 5, totalTokens: 125, cacheReadInputTokens: 100 },
  });
  assert.equal(answer.candidates[0]?.message?.parts[0]?.content.case, "text");
  // The total tells that the cached tokens are among the input here.
  assert.equal(answer.usage?.uncachedInputTokens, 20n);
  const unknown = { Output: { __type: "com.amazon.coral.service#UnknownOperationException" }, Version: "1.0" };
  assert.throws(() => codec.decodeResponse(unknown), { name: "ProviderStreamError" });
  assert.equal(codec.decodeError(unknown).type, "UnknownOperationException");
  assert.equal(codec.decodeError({ Message: "no" }).message, "no");
  for (const body of [undefined, null, [], 7, {}]) {
    assert.equal(codec.decodeError(body).message, "");
  }
  assert.throws(() => codec.readResponse({}), { code: "invalid_response" });
});
