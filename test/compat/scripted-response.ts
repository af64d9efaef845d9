import type { ProviderRequest, ScriptedAnswer } from "../harness/fake-provider.ts";
import { json, sse } from "../harness/provider-answers.ts";
import { type Turn, thoughtSignature, thoughtText, turnUsage } from "./scripted-turn.ts";

/** One turn of the scripted model as OpenAI's Responses API answers, whole or as a stream. */
export function writeResponse({ model, stream: streamed }: ProviderRequest, turn: Turn): ScriptedAnswer {
  const output = outputOf(turn);
  const begun = {
    id: "resp_scripted",
    object: "response",
    created_at: 1_700_000_000,
    status: "in_progress",
    error: null,
    incomplete_details: null,
    instructions: null,
    model,
    output: [],
    parallel_tool_calls: true,
    tool_choice: "auto",
    tools: [],
    usage: null,
  };
  const usage = {
    input_tokens: turnUsage.input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: turnUsage.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: turnUsage.input + turnUsage.output,
  };
  const done = { ...begun, status: "completed", output, usage };
  if (!streamed) {
    return json(done);
  }
  const events = [
    { type: "response.created", response: begun },
    { type: "response.in_progress", response: begun },
    ...output.flatMap((item, index) => eventsOf(item, index)),
    { type: "response.completed", response: done },
  ];
  return {
    headers: { "content-type": "text/event-stream" },
    parts: events.map((event, index) => `event: ${event.type}\n${sse({ ...event, sequence_number: index })}`),
  };
}

function outputOf(turn: Turn) {
  const summary = [{ type: "summary_text" as const, text: thoughtText }];
  const thought = {
    type: "reasoning" as const,
    id: "rs_1",
    summary,
    encrypted_content: thoughtSignature,
    status: "completed",
  };
  const call = {
    type: "function_call" as const,
    id: "fc_1",
    call_id: "call_1",
    name: turn.tool,
    arguments: turn.argumentsJson,
    status: "completed",
  };
  const message = {
    type: "message" as const,
    id: "msg_1",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text" as const, text: turn.text, annotations: [] }],
  };
  return [...(turn.thought ? [thought] : []), turn.tool === "" ? message : call];
}

type Item = ReturnType<typeof outputOf>[number];

interface StreamEvent {
  readonly type: string;
  readonly [member: string]: unknown;
}

function eventsOf(item: Item, index: number): readonly StreamEvent[] {
  const place = { item_id: item.id, output_index: index };
  const status = "in_progress";
  const frame = (empty: object, inner: readonly StreamEvent[]) => [
    { type: "response.output_item.added", output_index: index, item: { ...item, ...empty, status } },
    ...inner,
    { type: "response.output_item.done", output_index: index, item },
  ];
  switch (item.type) {
    case "function_call":
      return frame({ arguments: "" }, [
        { type: "response.function_call_arguments.delta", ...place, delta: item.arguments },
        { type: "response.function_call_arguments.done", ...place, name: item.name, arguments: item.arguments },
      ]);
    case "reasoning": {
      const at = { ...place, summary_index: 0 };
      return frame({ summary: [], encrypted_content: "" }, [
        { type: "response.reasoning_summary_part.added", ...at, part: { type: "summary_text", text: "" } },
        { type: "response.reasoning_summary_text.delta", ...at, delta: thoughtText },
        { type: "response.reasoning_summary_text.done", ...at, text: thoughtText },
        { type: "response.reasoning_summary_part.done", ...at, part: item.summary[0] },
      ]);
    }
    case "message": {
      const at = { ...place, content_index: 0 };
      const [part] = item.content;
      const text = part?.text ?? "";
      return frame({ content: [] }, [
        { type: "response.content_part.added", ...at, part: { ...part, text: "" } },
        { type: "response.output_text.delta", ...at, delta: text, logprobs: [] },
        { type: "response.output_text.done", ...at, text, logprobs: [] },
        { type: "response.content_part.done", ...at, part },
      ]);
    }
  }
}
