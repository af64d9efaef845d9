import type { ChatRequest } from "#gen/penstock/chat/v1/chat_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { tokensOfReference } from "../pipeline/bound-tokens.ts";
import type { Inspection } from "../pipeline/gateway-call.ts";

/** Reads what the gateway has to know of a typed conversation. Throws INVALID_REQUEST for limits that are none. */
export function boundTypedChat(chat: ChatRequest, bodyBytes: number, stream: boolean): Inspection {
  if (chat.maxOutputTokens !== undefined && chat.maxOutputTokens <= 0n) {
    throw outOfRange("chat.max_output_tokens");
  }
  if (chat.candidateCount !== undefined && (chat.candidateCount < 1 || chat.candidateCount > 128)) {
    throw outOfRange("chat.candidate_count");
  }
  let references = 0n;
  for (const message of chat.messages) {
    for (const { content } of message.parts) {
      if (content.case === "image" || content.case === "audio" || content.case === "file") {
        references += tokensOfReference[content.case];
      }
      if (content.case === "file" && content.value.source.case === "fileId") {
        // Files belong to somebody, whom this door does not ask.
        throw gatewayError(ErrorReason.INVALID_REQUEST, "Files cannot be named by their id here: send them as data.", {
          metadata: { param: "chat.messages" },
        });
      }
    }
  }
  return {
    model: chat.model,
    stream,
    inputTokenBound: BigInt(bodyBytes) + references,
    outputTokenLimit: chat.maxOutputTokens,
    candidates: BigInt(chat.candidateCount ?? 1),
  };
}

function outOfRange(name: string) {
  return gatewayError(ErrorReason.INVALID_REQUEST, `Invalid '${name}': it is out of range.`, {
    metadata: { param: name, code: "integer_below_min_value" },
  });
}
