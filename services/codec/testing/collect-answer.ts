import type { ChatEvent, ChatResponse, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** What tests compare of an answer: how it came, whole or in pieces, must not matter. First candidate only. */
export interface CollectedAnswer {
  readonly text: string;
  readonly reasoning: string;
  /** Signatures in the order of their parts, each with the kind of its part. */
  readonly signatures: readonly string[];
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly arguments: unknown }[];
  readonly finishReason: FinishReason | undefined;
  readonly nativeFinishReason: string;
  readonly usage: Usage | undefined;
  /** True when the answer was whole. */
  readonly ended: boolean;
}

/** Collects a complete answer. */
export function collectResponse(response: ChatResponse): CollectedAnswer {
  const candidate = response.candidates[0];
  const parts = candidate?.message?.parts ?? [];
  return {
    text: parts.map((part) => (part.content.case === "text" ? part.content.value.text : "")).join(""),
    reasoning: parts.map((part) => (part.content.case === "reasoning" ? part.content.value.text : "")).join(""),
    signatures: parts.flatMap(listSignatures),
    toolCalls: parts.flatMap(({ content }) =>
      content.case === "toolCall"
        ? [{ id: content.value.id, name: content.value.name, arguments: JSON.parse(content.value.argumentsJson) }]
        : [],
    ),
    finishReason: candidate?.finishReason,
    nativeFinishReason: candidate?.nativeFinishReason ?? "",
    usage: response.usage,
    ended: true,
  };
}

/** Collects a stream's events. */
export function collectEvents(events: readonly ChatEvent[]): CollectedAnswer {
  let text = "";
  let reasoning = "";
  let finishReason: FinishReason | undefined;
  let nativeFinishReason = "";
  let usage: Usage | undefined;
  let ended = false;
  const signatures: string[] = [];
  const calls: { id: string; name: string; json: string }[] = [];
  for (const { event } of events) {
    switch (event.case) {
      case "textDelta":
        text += event.value.text;
        pushSignature(signatures, "text", event.value.signature);
        break;
      case "reasoningDelta":
        reasoning += event.value.text;
        pushSignature(signatures, "reasoning", event.value.signature);
        pushSignature(signatures, "redacted", event.value.redactedData);
        break;
      case "toolCallStart":
        calls[event.value.callIndex] = { id: event.value.id, name: event.value.name, json: "" };
        pushSignature(signatures, "toolCall", event.value.signature);
        break;
      case "toolCallDelta": {
        const call = calls[event.value.callIndex];
        if (call !== undefined) {
          call.json += event.value.argumentsJson;
        }
        break;
      }
      case "finish":
        finishReason = event.value.finishReason;
        nativeFinishReason = event.value.nativeFinishReason;
        break;
      case "end":
        usage = event.value.usage;
        ended = true;
        break;
      default:
        break;
    }
  }
  const toolCalls = calls.map(({ id, name, json }) => ({ id, name, arguments: JSON.parse(json) as unknown }));
  return { text, reasoning, signatures, toolCalls, finishReason, nativeFinishReason, usage, ended };
}

function listSignatures({ content }: Part): string[] {
  const found: string[] = [];
  if (content.case === "text" || content.case === "toolCall" || content.case === "reasoning") {
    pushSignature(found, content.case, content.value.signature);
  }
  if (content.case === "reasoning") {
    pushSignature(found, "redacted", content.value.redactedData);
  }
  return found;
}

function pushSignature(signatures: string[], kind: string, signature: string): void {
  if (signature !== "") {
    signatures.push(`${kind}: ${signature}`);
  }
}
