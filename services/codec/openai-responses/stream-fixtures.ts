import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { CollectedAnswer } from "../testing/collect-answer.ts";

/** A stream as a provider writes it, for the tests of what reads streams. None of them is a real recording. */
export interface StreamFixture {
  readonly name: string;
  readonly bytes: Buffer;
  readonly expected: Omit<CollectedAnswer, "usage">;
}

const head = { id: "resp_1", object: "response", created_at: 1_700_000_000, model: "m-1", error: null };
const usage = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 4, cache_write_tokens: 2 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 17,
};

/** An event as it is written. */
export interface WireEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The bytes of named events. */
export function sse(...events: readonly WireEvent[]): Buffer {
  return Buffer.from(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
}

/** The events that begin a response. */
export const begin = [
  {
    type: "response.created",
    sequence_number: 0,
    response: { ...head, status: "in_progress", output: [], usage: null },
  },
  {
    type: "response.in_progress",
    sequence_number: 1,
    // A tool whose schema looks like the end of a stream.
    response: { ...head, status: "in_progress", output: [], tools: [{ type: "error" }, "response.completed"] },
  },
];

/** The event that ends a response whose output is `output`. */
export function complete(output: readonly object[]): WireEvent {
  return { type: "response.completed", response: { ...head, status: "completed", output, usage } };
}

/** The event that ends a response which was cut for `reason`. */
function incomplete(reason: string, output: readonly object[]): WireEvent {
  const response = { ...head, status: "incomplete", incomplete_details: { reason }, output, usage };
  return { type: "response.incomplete", response };
}

const message = (id: string, ...content: object[]): object => ({
  id,
  type: "message",
  role: "assistant",
  status: "completed",
  content,
});
const text = (value: string): object => ({ type: "output_text", text: value, annotations: [], logprobs: [] });
const call = (id: string, name: string, args: string): object => ({
  id: `fc_${id}`,
  type: "function_call",
  status: "completed",
  call_id: id,
  name,
  arguments: args,
});

function delta(kind: string, index: number, value: string, place: object = {}): WireEvent {
  return { type: `response.${kind}.delta`, item_id: `x${value.length}`, output_index: index, ...place, delta: value };
}

function added(index: number, item: object): WireEvent {
  return { type: "response.output_item.added", output_index: index, item };
}

function done(index: number, item: object): WireEvent {
  return { type: "response.output_item.done", output_index: index, item };
}

const nothing: StreamFixture["expected"] = {
  text: "",
  reasoning: "",
  signatures: [],
  toolCalls: [],
  finishReason: FinishReason.STOP,
  nativeFinishReason: "completed",
  ended: true,
};
const quoted = 'say "response.completed", {"type":"error"}, 😀';
const thought = {
  id: "rs_1",
  type: "reasoning",
  encrypted_content: "enc==",
  summary: [
    { type: "summary_text", text: "First." },
    { type: "summary_text", text: "Second." },
  ],
};
const custom = { id: "ct_1", type: "custom_tool_call", call_id: "call_c", name: "sql", input: 'SELECT "ü"' };

/** Streams that are complete. */
export const streamFixtures: readonly StreamFixture[] = [
  {
    name: "text",
    bytes: sse(
      ...begin,
      added(0, message("msg_1")),
      { type: "response.content_part.added", output_index: 0, content_index: 0, part: text("") },
      delta("output_text", 0, "Grüße, ", { content_index: 0, logprobs: [], obfuscation: "abc" }),
      delta("output_text", 0, quoted, { content_index: 0 }),
      { type: "response.output_text.done", output_index: 0, content_index: 0, text: `Grüße, ${quoted}` },
      { type: "response.something_new", output_index: 9, error: null },
      done(0, message("msg_1", text(`Grüße, ${quoted}`))),
      complete([message("msg_1", text(`Grüße, ${quoted}`))]),
    ),
    expected: { ...nothing, text: `Grüße, ${quoted}` },
  },
  {
    name: "a thought and parallel calls",
    bytes: sse(
      ...begin,
      added(0, { ...thought, summary: [], encrypted_content: "early==" }),
      delta("reasoning_summary_text", 0, "First.", { summary_index: 0 }),
      delta("reasoning_summary_text", 0, "Sec", { summary_index: 1 }),
      delta("reasoning_summary_text", 0, "ond.", { summary_index: 1 }),
      done(0, thought),
      added(1, call("call_a", "f", "")),
      delta("function_call_arguments", 1, '{"x":'),
      added(2, call("call_b", "g", "")),
      delta("function_call_arguments", 1, "1}"),
      done(1, call("call_a", "f", '{"x":1}')),
      done(2, call("call_b", "g", "")),
      complete([thought, call("call_a", "f", '{"x":1}'), call("call_b", "g", "")]),
    ),
    expected: {
      ...nothing,
      reasoning: "First.\n\nSecond.",
      signatures: ["reasoning: enc=="],
      toolCalls: [
        { id: "call_a", name: "f", arguments: { x: 1 } },
        { id: "call_b", name: "g", arguments: {} },
      ],
      finishReason: FinishReason.TOOL_CALLS,
    },
  },
  {
    name: "items that come whole, without deltas",
    bytes: sse(
      ...begin,
      done(0, thought),
      done(1, message("msg_1", text("a"), text("b"))),
      done(2, call("call_a", "f", '{"x":1}')),
      complete([]),
    ),
    expected: {
      ...nothing,
      text: "ab",
      reasoning: "First.\n\nSecond.",
      signatures: ["reasoning: enc=="],
      toolCalls: [{ id: "call_a", name: "f", arguments: { x: 1 } }],
      finishReason: FinishReason.TOOL_CALLS,
    },
  },
  {
    name: "the answer in its last event only",
    bytes: sse(...begin, complete([message("msg_1", text("late")), call("call_a", "f", "{}")])),
    expected: {
      ...nothing,
      text: "late",
      toolCalls: [{ id: "call_a", name: "f", arguments: {} }],
      finishReason: FinishReason.TOOL_CALLS,
    },
  },
  {
    name: "a thought shown as itself, and its summary",
    bytes: sse(
      ...begin,
      added(0, { type: "reasoning", summary: [] }),
      delta("reasoning_text", 0, "Hm", { content_index: 0 }),
      delta("reasoning_summary_text", 0, "It thinks", { summary_index: 0 }),
      done(0, {
        type: "reasoning",
        content: [{ type: "reasoning_text", text: "Hm." }],
        summary: [{ type: "summary_text", text: "It thinks" }],
      }),
      added(1, message("msg_1")),
      delta("output_text", 1, "4", { content_index: 0 }),
      done(1, message("msg_1", text("4"))),
      complete([]),
    ),
    expected: { ...nothing, text: "4", reasoning: "Hm." },
  },
  {
    name: "a filter's cut, CRLF line ends, comments and a marker of another dialect",
    bytes: Buffer.from(
      `: hi\n\n${sse(
        ...begin,
        added(0, message("msg_1")),
        delta("output_text", 0, "So", { content_index: 0 }),
        incomplete("content_filter", [message("msg_1", text("So"))]),
      ).toString()}data: [DONE]\n\n`.replaceAll("\n", "\r\n"),
    ),
    expected: {
      ...nothing,
      text: "So",
      finishReason: FinishReason.CONTENT_FILTER,
      nativeFinishReason: "content_filter",
    },
  },
  {
    name: "an output limit",
    bytes: sse(
      ...begin,
      delta("output_text", 0, "cut sh", { content_index: 0 }),
      incomplete("max_output_tokens", [message("msg_1", text("cut sh"))]),
    ),
    expected: {
      ...nothing,
      text: "cut sh",
      finishReason: FinishReason.LENGTH,
      nativeFinishReason: "max_output_tokens",
    },
  },
  {
    name: "a custom tool and a tool of the provider",
    bytes: sse(
      ...begin,
      added(0, { type: "web_search_call", id: "ws_1", status: "in_progress" }),
      { type: "response.web_search_call.completed", output_index: 0 },
      done(0, { type: "web_search_call", id: "ws_1", status: "completed" }),
      added(1, { ...custom, input: "" }),
      delta("custom_tool_call_input", 1, "SELECT "),
      done(1, custom),
      complete([custom]),
    ),
    expected: {
      ...nothing,
      toolCalls: [{ id: "call_c", name: "sql", arguments: { input: 'SELECT "ü"' } }],
      finishReason: FinishReason.TOOL_CALLS,
    },
  },
];

/** Streams that a provider ended with an error, each with what the error says. */
export const failedStreams: readonly {
  readonly name: string;
  readonly bytes: Buffer;
  readonly code: string;
  readonly type: string;
}[] = [
  {
    name: "an error event with an object",
    bytes: sse(...begin, { type: "error", error: { type: "t", code: "c", message: "no", param: null } }),
    code: "c",
    type: "t",
  },
  {
    name: "a flat error event",
    bytes: sse(...begin, { type: "error", sequence_number: 2, code: "c", message: "no", param: null }),
    code: "c",
    type: "",
  },
  {
    name: "a failed response",
    bytes: sse(...begin, delta("output_text", 0, "So", { content_index: 0 }), {
      type: "response.failed",
      response: { ...head, status: "failed", error: { code: "c", message: "no" } },
    }),
    code: "c",
    type: "",
  },
  {
    name: "a completed event whose response failed",
    bytes: sse(...begin, {
      type: "response.completed",
      response: { ...head, status: "failed", error: { code: "c", message: "no" } },
    }),
    code: "c",
    type: "",
  },
  {
    name: "an error without a type",
    bytes: Buffer.from('data: {"error":{"message":"no","code":"c","type":"t"}}\n\n'),
    code: "c",
    type: "t",
  },
  { name: "an error event that is no JSON", bytes: Buffer.from("event: error\ndata: no\n\n"), code: "", type: "" },
];
