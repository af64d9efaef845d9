import type { ChatEvent, ChatResponse, Part } from "#gen/penstock/chat/v1/chat_pb.ts";
import { ChatEventSchema } from "#gen/penstock/chat/v1/chat_pb.ts";
import { create, type MessageInitShape } from "@bufbuild/protobuf";

type EventInit = NonNullable<MessageInitShape<typeof ChatEventSchema>["event"]>;

/** The events of a stream that says what a complete answer says, for a provider that did not stream though asked to. */
export function responseToEvents(response: ChatResponse): ChatEvent[] {
  const events: EventInit[] = [
    {
      case: "start",
      value: {
        id: response.id,
        model: response.model,
        ...(response.createTime === undefined ? {} : { createTime: response.createTime }),
      },
    },
  ];
  for (const candidate of response.candidates) {
    let callIndex = 0;
    for (const part of candidate.message?.parts ?? []) {
      events.push(...partEvents(part, candidate.index, callIndex));
      if (part.content.case === "toolCall") {
        callIndex += 1;
      }
    }
    events.push({
      case: "finish",
      value: {
        candidateIndex: candidate.index,
        finishReason: candidate.finishReason,
        nativeFinishReason: candidate.nativeFinishReason,
        stopSequence: candidate.stopSequence,
      },
    });
  }
  events.push({ case: "end", value: response.usage === undefined ? {} : { usage: response.usage } });
  return events.map((event) => create(ChatEventSchema, { event }));
}

function partEvents(part: Part, candidateIndex: number, callIndex: number): EventInit[] {
  const { content } = part;
  switch (content.case) {
    case "text":
      return [
        { case: "textDelta", value: { candidateIndex, text: content.value.text, signature: content.value.signature } },
      ];
    case "reasoning":
      return [
        {
          case: "reasoningDelta",
          value: {
            candidateIndex,
            text: content.value.text,
            signature: content.value.signature,
            redactedData: content.value.redactedData,
          },
        },
      ];
    case "refusal":
      return [{ case: "refusalDelta", value: { candidateIndex, text: content.value.text } }];
    case "toolCall":
      return [
        {
          case: "toolCallStart",
          value: {
            candidateIndex,
            callIndex,
            id: content.value.id,
            name: content.value.name,
            signature: content.value.signature,
          },
        },
        {
          case: "toolCallDelta",
          value: { candidateIndex, callIndex, argumentsJson: content.value.argumentsJson },
        },
      ];
    default:
      // Streams have no event for what a model gives beside these.
      return [];
  }
}
