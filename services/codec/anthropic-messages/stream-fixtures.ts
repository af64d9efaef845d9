import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { JsonObject } from "../codec.ts";
import type { CollectedAnswer } from "../testing/collect-answer.ts";

/** A stream for tests, and what it says. */
export interface StreamFixture {
  readonly name: string;
  readonly bytes: Buffer;
  readonly expected: {
    readonly answer: Omit<CollectedAnswer, "usage">;
    readonly inputTokens: bigint;
    readonly outputTokens: bigint;
  };
}

const EMPTY_ANSWER: Omit<CollectedAnswer, "usage"> = {
  text: "",
  reasoning: "",
  signatures: [],
  toolCalls: [],
  finishReason: FinishReason.STOP,
  nativeFinishReason: "end_turn",
  ended: true,
};

/** Events as Anthropic writes them, with the white space that it pads them with. */
export function sse(...messages: readonly (JsonObject & { readonly type: string })[]): Buffer {
  const lines = messages.map((message) => `event: ${message.type}\ndata: ${JSON.stringify(message)}   \n\n`);
  return Buffer.from(lines.join(""));
}

/** Streams of all kinds of blocks. */
export const streamFixtures: readonly StreamFixture[] = [
  {
    name: "text, a ping and text beyond ASCII",
    bytes: Buffer.concat([
      begin({ input_tokens: 10, output_tokens: 1 }),
      sse({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }, { type: "ping" }),
      delta(0, { type: "text_delta", text: "Grüße 東京 😀" }),
      delta(0, { type: "citations_delta", citation: { cited_text: "x" } }),
      delta(0, { type: "text_delta", text: ' say "message_delta" and "error"' }),
      sse({ type: "content_block_stop", index: 0 }),
      finish("end_turn", { output_tokens: 7 }),
    ]),
    expected: {
      answer: { ...EMPTY_ANSWER, text: 'Grüße 東京 😀 say "message_delta" and "error"' },
      inputTokens: 10n,
      outputTokens: 7n,
    },
  },
  {
    name: "thoughts, encrypted thoughts, a call without arguments and a server's tool",
    bytes: Buffer.concat([
      begin({ input_tokens: 3, cache_read_input_tokens: 5, output_tokens: 2 }),
      sse({ type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } }),
      delta(0, { type: "thinking_delta", thinking: "let me" }),
      delta(0, { type: "signature_delta", signature: "sig-1" }),
      sse({ type: "content_block_stop", index: 0 }),
      sse({ type: "content_block_start", index: 1, content_block: { type: "redacted_thinking", data: "opaque" } }),
      sse({ type: "content_block_stop", index: 1 }),
      sse({
        type: "content_block_start",
        index: 2,
        content_block: { type: "server_tool_use", id: "srv", name: "web_search", input: {} },
      }),
      delta(2, { type: "input_json_delta", partial_json: '{"query":"x"}' }),
      sse({ type: "content_block_stop", index: 2 }),
      sse({
        type: "content_block_start",
        index: 3,
        content_block: { type: "tool_use", id: "t1", name: "now", input: {} },
      }),
      delta(3, { type: "input_json_delta", partial_json: "" }),
      sse({ type: "content_block_stop", index: 3 }),
      sse({
        type: "content_block_start",
        index: 4,
        content_block: { type: "tool_use", id: "t2", name: "add", input: {} },
      }),
      delta(4, { type: "input_json_delta", partial_json: '{"a": 1, ' }),
      delta(4, { type: "input_json_delta", partial_json: '"b": "é"}' }),
      sse({ type: "content_block_stop", index: 4 }),
      finish("tool_use", { input_tokens: 4, output_tokens: 90, output_tokens_details: { thinking_tokens: 20 } }),
    ]),
    expected: {
      answer: {
        ...EMPTY_ANSWER,
        reasoning: "let me",
        signatures: ["reasoning: sig-1", "redacted: opaque"],
        toolCalls: [
          { id: "t1", name: "now", arguments: {} },
          { id: "t2", name: "add", arguments: { a: 1, b: "é" } },
        ],
        finishReason: FinishReason.TOOL_CALLS,
        nativeFinishReason: "tool_use",
      },
      inputTokens: 4n,
      outputTokens: 90n,
    },
  },
];

function begin(usage: JsonObject): Buffer {
  return sse({
    type: "message_start",
    message: { id: "msg_1", model: "claude", role: "assistant", content: [], usage },
  });
}

function delta(index: number, value: JsonObject): Buffer {
  return sse({ type: "content_block_delta", index, delta: value });
}

function finish(stopReason: string, usage: JsonObject): Buffer {
  return sse(
    { type: "message_delta", delta: { stop_reason: stopReason, stop_sequence: null }, usage },
    { type: "message_stop" },
  );
}
