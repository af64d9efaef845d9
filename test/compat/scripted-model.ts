import type { ProviderRequest, ScriptedAnswer } from "../harness/fake-provider.ts";
import { json, sse, stream } from "../harness/provider-answers.ts";
import { writeResponse } from "./scripted-response.ts";
import { finalText, structuredAnswer, type Turn, thoughtSignature, thoughtText, turnUsage } from "./scripted-turn.ts";

/**
 * A model behind the provider's own dialect, whichever the path names: it calls the first tool that it is given, with
 * the city of Paris, and says its final text once a tool has answered. Where JSON is asked for, it gives JSON.
 */
export function scriptedModel(request: ProviderRequest): ScriptedAnswer {
  return writeTurn(request, nextTurn(request));
}

/** A turn as the dialect of the request's path has it, streamed if it asks for that. */
export function writeTurn(request: ProviderRequest, turn: Turn): ScriptedAnswer {
  if (request.path.includes("enerateContent")) {
    return writeGemini(request, turn);
  }
  if (request.path.endsWith("/responses")) {
    return writeResponse(request, turn);
  }
  return request.path.endsWith("/messages") ? writeAnthropic(request, turn) : writeOpenAi(request, turn);
}

function nextTurn({ json: body }: ProviderRequest): Turn {
  const all = JSON.stringify(body);
  const answered = /"role":"tool"|"type":"tool_result"|"type":"function_call_output"|"functionResponse":/.test(all);
  const structured = /"json_schema"|"responseMimeType":"application\/json"/.test(all);
  const thought = /"thinking":\{"type":"(?:enabled|adaptive)"|"thinkingConfig":|"reasoning":\{/.test(all);
  const tool = answered ? "" : firstTool(body["tools"]);
  if (tool !== "") {
    const input = tool === "weather" ? { city: structuredAnswer.city } : structuredAnswer;
    return { thought, text: "", tool, argumentsJson: JSON.stringify(input) };
  }
  return { thought, text: structured ? JSON.stringify(structuredAnswer) : finalText, tool: "", argumentsJson: "" };
}

/** The name of the first tool in any dialect's list of them; empty when there is none. */
function firstTool(tools: unknown): string {
  return /"name":"([^"]+)"/.exec(JSON.stringify(tools ?? []))?.[1] ?? "";
}

function halves(text: string): readonly string[] {
  const middle = Math.ceil(text.length / 2);
  return text === "" ? [] : [text.slice(0, middle), text.slice(middle)];
}

function writeOpenAi({ model, stream: streamed }: ProviderRequest, turn: Turn): ScriptedAnswer {
  const { input, output } = turnUsage;
  const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
  const head = { id: "chatcmpl-scripted", created: 1_700_000_000, model };
  const finish = turn.tool === "" ? "stop" : "tool_calls";
  const call = { id: "call_1", type: "function", function: { name: turn.tool, arguments: turn.argumentsJson } };
  if (!streamed) {
    const message = {
      role: "assistant",
      content: turn.tool === "" ? turn.text : null,
      refusal: null,
      ...(turn.tool === "" ? {} : { tool_calls: [call] }),
    };
    const choices = [{ index: 0, message, finish_reason: finish, logprobs: null }];
    return json({ ...head, object: "chat.completion", choices, usage });
  }
  const chunk = (delta: object, finishReason: string | null = null) => ({
    ...head,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  });
  const begun = { ...call, index: 0, function: { name: turn.tool, arguments: "" } };
  return stream([
    chunk({ role: "assistant", content: turn.tool === "" ? "" : null }),
    ...(turn.tool === "" ? [] : [chunk({ tool_calls: [begun] })]),
    ...halves(turn.argumentsJson).map((piece) => chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
    ...halves(turn.text).map((content) => chunk({ content })),
    chunk({}, finish),
    { ...head, object: "chat.completion.chunk", choices: [], usage },
    "[DONE]",
  ]);
}

function writeAnthropic({ model, stream: streamed }: ProviderRequest, turn: Turn): ScriptedAnswer {
  const usage = { input_tokens: turnUsage.input, output_tokens: turnUsage.output };
  const stop = { stop_reason: turn.tool === "" ? "end_turn" : "tool_use", stop_sequence: null };
  const head = { id: "msg_scripted", type: "message", role: "assistant", model };
  const thinking = { type: "thinking", thinking: thoughtText, signature: thoughtSignature };
  const call = { type: "tool_use", id: "toolu_1", name: turn.tool };
  const thought = turn.thought ? [thinking] : [];
  if (!streamed) {
    const said =
      turn.tool === "" ? { type: "text", text: turn.text } : { ...call, input: JSON.parse(turn.argumentsJson) };
    return json({ ...head, content: [...thought, said], ...stop, usage });
  }
  const block = (index: number, begun: object, deltas: readonly object[]) => [
    { type: "content_block_start", index, content_block: begun },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ];
  const events = [
    { type: "message_start", message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage } },
    { type: "ping" },
    ...thought.flatMap(() =>
      block(0, { type: "thinking", thinking: "", signature: "" }, [
        { type: "thinking_delta", thinking: thoughtText },
        { type: "signature_delta", signature: thoughtSignature },
      ]),
    ),
    ...(turn.tool === ""
      ? block(
          thought.length,
          { type: "text", text: "" },
          halves(turn.text).map((text) => ({ type: "text_delta", text })),
        )
      : block(
          thought.length,
          { ...call, input: {} },
          ["", ...halves(turn.argumentsJson)].map((piece) => ({ type: "input_json_delta", partial_json: piece })),
        )),
    { type: "message_delta", delta: stop, usage: { output_tokens: turnUsage.output } },
    { type: "message_stop" },
  ];
  return {
    headers: { "content-type": "text/event-stream" },
    parts: events.map((event) => `event: ${event.type}\n${sse(event)}`),
  };
}

function writeGemini({ model, stream: streamed }: ProviderRequest, turn: Turn): ScriptedAnswer {
  const signature = turn.thought ? { thoughtSignature } : {};
  const parts = [
    ...(turn.thought ? [{ text: thoughtText, thought: true }] : []),
    ...(turn.tool === ""
      ? halves(turn.text).map((text) => ({ text }))
      : [{ functionCall: { name: turn.tool, args: JSON.parse(turn.argumentsJson) }, ...signature }]),
  ];
  const { input, output } = turnUsage;
  const usageMetadata = {
    promptTokenCount: input,
    candidatesTokenCount: output,
    totalTokenCount: input + output,
  };
  const answer = (some: readonly object[], last: boolean) => ({
    candidates: [{ content: { role: "model", parts: some }, index: 0, ...(last ? { finishReason: "STOP" } : {}) }],
    usageMetadata,
    modelVersion: model,
    responseId: "scripted",
  });
  return streamed
    ? stream([...parts.map((part) => answer([part], false)), answer([{ text: "" }], true)])
    : json(answer(parts, true));
}
