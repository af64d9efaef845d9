/** Streams as providers write them, for the tests of what reads streams. None of them is a real recording. */
export interface StreamFixture {
  readonly name: string;
  readonly text: string;
}

function chunk(choices: unknown, extra: object = {}): string {
  const base = { id: "chatcmpl-7", object: "chat.completion.chunk", created: 1700000000, model: "m-1" };
  return `data: ${JSON.stringify({ ...base, choices, ...extra })}\n\n`;
}

function delta(value: object, finishReason: string | null = null, index = 0): object[] {
  return [{ index, delta: value, logprobs: null, finish_reason: finishReason }];
}

const usage = {
  prompt_tokens: 12,
  completion_tokens: 5,
  total_tokens: 17,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 2 },
};

const DONE = "data: [DONE]\n\n";

/** Text with usage in a chunk of its own, and null usage before, as OpenAI sends it. */
export const plainStream: StreamFixture = {
  name: "plain text",
  text:
    chunk(delta({ role: "assistant", content: "", refusal: null }), { usage: null, obfuscation: "x1" }) +
    chunk(delta({ content: "Grüße, " }), { usage: null, obfuscation: "" }) +
    chunk(delta({ content: '"usage": {😀}' }), { usage: null }) +
    chunk(delta({}, "stop"), { usage: null }) +
    chunk([], { usage }) +
    DONE,
};

/** Two parallel calls with an index each. */
export const parallelCallsStream: StreamFixture = {
  name: "parallel calls",
  text:
    chunk(delta({ role: "assistant", content: null })) +
    chunk(
      delta({ tool_calls: [{ index: 0, id: "call_a", type: "function", function: { name: "f", arguments: "" } }] }),
    ) +
    chunk(delta({ tool_calls: [{ index: 0, function: { arguments: '{"x":' } }] })) +
    chunk(delta({ tool_calls: [{ index: 0, function: { arguments: "1}" } }] })) +
    chunk(
      delta({ tool_calls: [{ index: 1, id: "call_b", type: "function", function: { name: "g", arguments: "" } }] }),
    ) +
    chunk(delta({}, "tool_calls")) +
    DONE,
};

/** Two calls that share index 0 and differ by id. */
export const sharedIndexStream: StreamFixture = {
  name: "calls that share an index",
  text:
    chunk(delta({ tool_calls: [{ index: 0, id: "call_a", function: { name: "f", arguments: '{"x":1}' } }] })) +
    chunk(delta({ tool_calls: [{ index: 0, id: "call_b", function: { name: "f", arguments: '{"x":2}' } }] })) +
    chunk(delta({}, "stop")) +
    DONE,
};

/** Calls without index and without id, arguments as an object. */
export const bareCallsStream: StreamFixture = {
  name: "calls without index and id",
  text:
    chunk(delta({ tool_calls: [{ function: { name: "f", arguments: { x: 1 } } }, { function: { name: "g" } }] })) +
    chunk(delta({}, "stop")) +
    DONE,
};

/** A thought with a signature, in the form of OpenRouter, with comments between. */
export const thoughtStream: StreamFixture = {
  name: "signed thoughts",
  text:
    ": PROCESSING\n\n" +
    chunk(
      delta({
        role: "assistant",
        content: "",
        reasoning: "Let ",
        reasoning_details: [{ type: "reasoning.text", text: "Let ", index: 0 }],
      }),
    ) +
    chunk(
      delta({ content: "", reasoning: "me", reasoning_details: [{ type: "reasoning.text", text: "me", index: 0 }] }),
    ) +
    ": PROCESSING\n\n" +
    chunk(delta({ content: "", reasoning_details: [{ type: "reasoning.text", signature: "sig==", index: 0 }] })) +
    chunk(delta({ reasoning_details: [{ type: "reasoning.encrypted", data: "enc==", index: 1 }] })) +
    chunk(delta({ content: "4" })) +
    chunk(delta({ content: "" }, "stop")) +
    chunk(delta({ content: "" }, "stop"), { usage }) +
    DONE,
};

/** Azure's stream, which begins and ends with chunks that say nothing about the answer. */
export const azureStream: StreamFixture = {
  name: "chunks of a filter",
  text:
    `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}\n\n` +
    chunk(delta({ role: "assistant", content: "" })) +
    chunk(delta({ content: "Oi" })) +
    `data: {"choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{}}],"id":"","model":"","created":0}\n\n` +
    chunk(delta({}, "stop")) +
    DONE,
};

/** Usage in every chunk, CRLF line ends and no final marker. */
export const markerlessStream: StreamFixture = {
  name: "no final marker",
  text: (
    chunk(delta({ role: "assistant", content: "a" }), { usage: { prompt_tokens: 3, completion_tokens: 1 } }) +
    chunk(delta({ content: "b" }), { usage: { prompt_tokens: 3, completion_tokens: 2 } }) +
    chunk(delta({ content: "" }, "length"), { usage: { prompt_tokens: 3, completion_tokens: 3 } })
  ).replaceAll("\n", "\r\n"),
};

/** Two candidates, interleaved. */
export const twoCandidatesStream: StreamFixture = {
  name: "two candidates",
  text:
    chunk(delta({ role: "assistant", content: "a" }, null, 0)) +
    chunk(delta({ role: "assistant", content: "b" }, null, 1)) +
    chunk(delta({}, "stop", 1)) +
    chunk(delta({}, "length", 0)) +
    DONE,
};

/** Mistral's lists of thinking and text, usage in the last chunk. */
export const listStream: StreamFixture = {
  name: "content lists",
  text:
    chunk(delta({ role: "assistant", content: "" })) +
    chunk(delta({ content: [{ type: "thinking", thinking: [{ type: "text", text: "Hm" }] }] })) +
    chunk(
      delta({
        content: [
          { type: "thinking", thinking: [{ type: "text", text: "." }], closed: true },
          { type: "text", text: "1" },
        ],
      }),
    ) +
    chunk(delta({ content: "44" }, "stop"), { usage }) +
    DONE,
};

/** A stream without a final blank line, as careless servers end it. */
export const unterminatedStream: StreamFixture = {
  name: "no last blank line",
  text: `${chunk(delta({ content: "a" }, "stop"))}data: [DONE]\n`,
};

/** All streams that are complete. */
export const completeStreams: readonly StreamFixture[] = [
  plainStream,
  parallelCallsStream,
  sharedIndexStream,
  bareCallsStream,
  thoughtStream,
  azureStream,
  markerlessStream,
  twoCandidatesStream,
  listStream,
  unterminatedStream,
];

/** Streams that a provider ended with an error. */
export const failedStreams: readonly StreamFixture[] = [
  { name: "an error chunk", text: `${chunk(delta({ content: "a" }))}data: {"error":{"message":"no","code":502}}\n\n` },
  {
    name: "an error beside choices",
    text: chunk(delta({ content: "a" })) + chunk(delta({ content: "" }, "error"), { error: { message: "no" } }),
  },
  { name: "an error event", text: `event: error\ndata: {"message":"no","code":"tool_use_failed"}\n\n` },
  { name: "an error event that is no JSON", text: "event: error\ndata: no\n\n" },
  { name: "an error object", text: `data: {"object":"error","message":"no"}\n\n` },
];
