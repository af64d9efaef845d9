import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

// Literals rather than `create`: a stream makes one of these for nearly every chunk, and a literal costs a tenth.

/** Begins an answer. */
export function startEvent(id: string, model: string, createTime?: Timestamp, usage?: Usage): ChatEvent {
  return wrap({
    case: "start",
    value: { $typeName: "penstock.chat.v1.StartEvent", id, model, createTime, usage },
  });
}

/** More text of a candidate, with the signature of its part where it has one. */
export function textDelta(candidateIndex: number, text: string, signature = "", logprobsJson = ""): ChatEvent {
  return wrap({
    case: "textDelta",
    value: { $typeName: "penstock.chat.v1.TextDelta", candidateIndex, text, signature, logprobsJson },
  });
}

/** More thought of a candidate; a signature closes the thought. */
export function reasoningDelta(candidateIndex: number, text: string, signature = "", redactedData = ""): ChatEvent {
  return wrap({
    case: "reasoningDelta",
    value: { $typeName: "penstock.chat.v1.ReasoningDelta", candidateIndex, text, signature, redactedData },
  });
}

/** Begins a tool call; `callIndex` counts over the tool calls of the candidate. */
export function toolCallStart(
  candidateIndex: number,
  callIndex: number,
  call: { readonly id: string; readonly name: string; readonly signature?: string },
): ChatEvent {
  const { id, name, signature = "" } = call;
  return wrap({
    case: "toolCallStart",
    value: { $typeName: "penstock.chat.v1.ToolCallStart", candidateIndex, callIndex, id, name, signature },
  });
}

/** More of a tool call's arguments. */
export function toolCallDelta(candidateIndex: number, callIndex: number, argumentsJson: string): ChatEvent {
  return wrap({
    case: "toolCallDelta",
    value: { $typeName: "penstock.chat.v1.ToolCallDelta", candidateIndex, callIndex, argumentsJson },
  });
}

/** Completes a candidate. */
export function finishEvent(
  candidateIndex: number,
  finishReason: FinishReason,
  nativeFinishReason: string,
  stopSequence = "",
): ChatEvent {
  return wrap({
    case: "finish",
    value: {
      $typeName: "penstock.chat.v1.FinishEvent",
      candidateIndex,
      finishReason,
      nativeFinishReason,
      stopSequence,
    },
  });
}

/** Completes the answer. */
export function endEvent(usage: Usage | undefined): ChatEvent {
  return wrap({ case: "end", value: { $typeName: "penstock.chat.v1.EndEvent", usage } });
}

function wrap(event: ChatEvent["event"]): ChatEvent {
  return { $typeName: "penstock.chat.v1.ChatEvent", event };
}
