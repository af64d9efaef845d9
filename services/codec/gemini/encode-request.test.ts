import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  type ChatRequest,
  ChatRequestSchema,
  type Message,
  ResponseFormat_Kind,
  Role,
  ToolChoice_Mode,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  audioPart,
  filePart,
  imagePart,
  message,
  reasoningPart,
  textPart,
  toolCallPart,
  toolResultPart,
} from "../chat/chat-parts.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { decodeRequest } from "./decode-request.ts";
import { SKIP_SIGNATURE } from "./encode-contents.ts";
import { encodeRequest } from "./encode-request.ts";
import { placeToolCallId } from "./tool-call-id.ts";

const hello = [message(Role.USER, [textPart("hi")])];

type RequestInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

function encode(init: RequestInit, model = "gemini-2.5-flash"): { body: JsonObject; dropped: readonly string[] } {
  const request = create(ChatRequestSchema, { messages: hello, ...init });
  return encodeRequest(request, { model, stream: false, defaultMaxOutputTokens: 1 });
}

test("names results after their calls, in the order of the calls, in one turn", () => {
  const { body } = encode({
    messages: [
      message(Role.SYSTEM, [textPart("be brief")]),
      message(Role.USER, [textPart("go")]),
      message(Role.ASSISTANT, [
        toolCallPart({ id: placeToolCallId(1, 0), name: "one", argumentsJson: '{"x":1}', signature: "sig" }),
        toolCallPart({ id: placeToolCallId(1, 1), name: "one", argumentsJson: "" }),
        toolCallPart({ id: "call_9", name: "two", argumentsJson: "{}" }),
      ]),
      message(Role.TOOL, [toolResultPart({ toolCallId: "call_9", parts: [textPart("oops")], isError: true })]),
      message(Role.TOOL, [toolResultPart({ toolCallId: placeToolCallId(1, 1), parts: [textPart('{"y":2}')] })]),
      message(Role.TOOL, [toolResultPart({ toolCallId: placeToolCallId(1, 0), parts: [textPart("12")] })]),
    ],
  });
  assert.deepEqual(body["systemInstruction"], { parts: [{ text: "be brief" }] });
  assert.deepEqual(body["contents"], [
    { role: "user", parts: [{ text: "go" }] },
    {
      role: "model",
      parts: [
        { functionCall: { name: "one", args: { x: 1 } }, thoughtSignature: "sig" },
        { functionCall: { name: "one", args: {} } },
        { functionCall: { id: "call_9", name: "two", args: {} } },
      ],
    },
    {
      role: "user",
      parts: [
        { functionResponse: { name: "one", response: { result: "12" } } },
        { functionResponse: { name: "one", response: { y: 2 } } },
        { functionResponse: { id: "call_9", name: "two", response: { error: "oops" } } },
      ],
    },
  ]);
});

test("keeps results as texts where parsing would change them", () => {
  for (const text of ['{"id":12345678901234567890}', "{oops", "[1]", ""]) {
    const { body } = encode({
      messages: [
        message(Role.ASSISTANT, [toolCallPart({ id: "a", name: "x", argumentsJson: "" })]),
        message(Role.TOOL, [toolResultPart({ toolCallId: "a", parts: [textPart(text)] })]),
      ],
    });
    assert.ok(JSON.stringify(body).includes(JSON.stringify({ result: text })), text);
  }
});

test("refuses a result that no call asked for and that has no name", () => {
  const messages = [message(Role.TOOL, [toolResultPart({ toolCallId: "a", parts: [textPart("1")] })])];
  assert.throws(() => encode({ messages }), CodecError);
});

test("stands in for the lost signature of the first call, for models that insist", () => {
  const calls = (...signatures: readonly string[]): Message[] => [
    ...hello,
    message(
      Role.ASSISTANT,
      signatures.map((signature, index) =>
        toolCallPart({ id: `c${index}`, name: "x", argumentsJson: "{}", signature }),
      ),
    ),
  ];
  const signaturesOf = (messages: Message[], model: string): unknown[] => {
    const contents = encode({ messages }, model).body["contents"] as unknown as readonly {
      parts: readonly JsonObject[];
    }[];
    return contents[1]?.parts.map((part) => part["thoughtSignature"]) ?? [];
  };
  assert.deepEqual(signaturesOf(calls("", ""), "gemini-3-pro-preview"), [SKIP_SIGNATURE, undefined]);
  assert.deepEqual(signaturesOf(calls("sig", ""), "gemini-3-pro-preview"), ["sig", undefined]);
  assert.deepEqual(signaturesOf(calls("", ""), "gemini-2.5-pro"), [undefined, undefined]);
});

const thinking: readonly (readonly [string, string, RequestInit["reasoning"], JsonObject | undefined])[] = [
  ["a free budget", "gemini-2.5-pro", { budgetTokens: -1n }, { thinkingBudget: -1 }],
  ["no budget", "gemini-2.5-flash", { budgetTokens: 0n }, { thinkingBudget: 0 }],
  ["an effort before 3", "gemini-2.5-flash", { effort: "low" }, { thinkingBudget: 1024 }],
  ["no effort on Pro", "gemini-2.5-pro", { effort: "none" }, { thinkingBudget: 128 }],
  [
    "an effort from 3 on",
    "gemini-3-pro-preview",
    { effort: "medium", includeThoughts: true },
    { thinkingLevel: "medium", includeThoughts: true },
  ],
  ["no effort from 3 on", "gemini-3-flash-preview", { effort: "none" }, { thinkingLevel: "minimal" }],
  ["a budget from 3 on", "gemini-3-pro-preview", { budgetTokens: 7n }, { thinkingBudget: 7 }],
  ["a model that does not think", "gemini-2.0-flash", { effort: "low" }, undefined],
];

for (const [name, model, reasoning, expected] of thinking) {
  test(`writes thinking for ${name}`, () => {
    const { body, dropped } = encode(reasoning === undefined ? {} : { reasoning }, model);
    assert.deepEqual(body["generationConfig"], expected === undefined ? undefined : { thinkingConfig: expected });
    assert.deepEqual(dropped, expected === undefined ? ["reasoning_effort"] : []);
  });
}

test("writes every setting, and names what it left out", () => {
  const { body, dropped } = encode({
    maxOutputTokens: 5n,
    temperature: 1.5,
    topP: 0.5,
    topK: 40n,
    seed: 7n,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    candidateCount: 2,
    logprobs: true,
    topLogprobs: 3,
    stopSequences: ["1", "2", "3", "4", "5", "6"],
    responseFormat: { kind: ResponseFormat_Kind.JSON_SCHEMA, schemaJson: '{"type":"object"}' },
    toolChoice: { mode: ToolChoice_Mode.NAMED, toolName: "a" },
    tools: [{ name: "a", strict: true }],
    parallelToolCalls: false,
    endUserId: "u",
    metadata: { a: "b" },
    logitBias: { "1": 1 },
  });
  assert.deepEqual(body["generationConfig"], {
    maxOutputTokens: 5,
    temperature: 1.5,
    topP: 0.5,
    topK: 40,
    stopSequences: ["1", "2", "3", "4", "5"],
    seed: 7,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    candidateCount: 2,
    responseLogprobs: true,
    logprobs: 3,
    responseMimeType: "application/json",
    responseJsonSchema: { type: "object" },
  });
  assert.deepEqual(body["tools"], [{ functionDeclarations: [{ name: "a" }] }]);
  assert.deepEqual(body["toolConfig"], { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["a"] } });
  assert.deepEqual(dropped, ["logit_bias", "metadata", "parallel_tool_calls", "stop", "tools.strict", "user"]);
});

test("writes pictures, sounds and files", () => {
  const { body } = encode({
    messages: [
      message(Role.USER, [
        imagePart({ case: "data", value: new Uint8Array([1]) }, "image/png"),
        imagePart({ case: "url", value: "https://x/a.PNG?b=1.gif" }, ""),
        audioPart(new Uint8Array([2]), "audio/wav"),
        filePart({ case: "data", value: new Uint8Array([3]) }, "application/pdf"),
      ]),
    ],
  });
  assert.deepEqual(body["contents"], [
    {
      role: "user",
      parts: [
        { inlineData: { mimeType: "image/png", data: "AQ==" } },
        { fileData: { mimeType: "image/png", fileUri: "https://x/a.PNG?b=1.gif" } },
        { inlineData: { mimeType: "audio/wav", data: "Ag==" } },
        { inlineData: { mimeType: "application/pdf", data: "Aw==" } },
      ],
    },
  ]);
});

test("does not send another provider's opaque thoughts to Gemini", () => {
  const { body, dropped } = encode({
    messages: [
      ...hello,
      message(Role.ASSISTANT, [
        reasoningPart({ text: "hm", signature: "foreign" }),
        reasoningPart({ redactedData: "x" }),
        textPart("ok"),
      ]),
    ],
  });
  assert.doesNotMatch(JSON.stringify(body), /foreign|"x"/);
  assert.deepEqual(dropped, ["reasoning_details"]);
});

test("keeps signatures, tools and parts on the way through the dialect", () => {
  const word = fc.string({ minLength: 1, maxLength: 8 });
  const signature = fc.option(fc.base64String({ minLength: 4, maxLength: 12 }), { nil: "" });
  const call = fc.record({ name: fc.constantFrom("a", "b"), value: fc.jsonValue(), signature });
  fc.assert(
    fc.property(
      word,
      word,
      signature,
      fc.array(call, { minLength: 1, maxLength: 4 }),
      (question, answer, signed, calls) => {
        const ids = calls.map((_, index) => placeToolCallId(1, index + 2));
        const request = create(ChatRequestSchema, {
          messages: [
            message(Role.USER, [textPart(question)]),
            message(Role.ASSISTANT, [
              reasoningPart({ text: "hm" }),
              textPart(answer, signed),
              ...calls.map((source, index) =>
                toolCallPart({
                  id: ids[index] ?? "",
                  name: source.name,
                  argumentsJson: JSON.stringify({ value: source.value }),
                  signature: source.signature,
                }),
              ),
            ]),
            message(
              Role.TOOL,
              calls.map(({ name }, index) =>
                toolResultPart({ toolCallId: ids[index] ?? "", name, parts: [textPart(answer.replaceAll("{", "("))] }),
              ),
            ),
          ],
          tools: [
            { name: "a", description: "A", parametersJson: '{"type":"object","properties":{"x":{}}}' },
            { name: "b" },
          ],
        });
        const { body } = encodeRequest(request, { model: "gemini-2.5-flash", stream: true, defaultMaxOutputTokens: 1 });
        assert.deepEqual(decodeRequest(body), request);
      },
    ),
    { numRuns: 100 },
  );
});
