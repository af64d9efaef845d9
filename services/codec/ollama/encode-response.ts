import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject } from "../codec.ts";
import { parseJsonObject } from "../json/json-fields.ts";
import { toDoneReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

/** Writes a complete answer. Only the first candidate: Ollama's answers have one. */
export function encodeResponse(response: ChatResponse, options: EncodeResponseOptions): JsonObject {
  let text = "";
  let thinking = "";
  const calls: JsonObject[] = [];
  const candidate = response.candidates[0];
  for (const { content } of candidate?.message?.parts ?? []) {
    switch (content.case) {
      case "text":
      case "refusal":
        text += content.value.text;
        break;
      case "reasoning":
        thinking += content.value.text;
        break;
      case "toolCall":
        calls.push(encodeCall(content.value));
        break;
      case undefined:
        break;
      default:
        throw new CodecError(
          `an answer with a part of the kind ${content.case} cannot be written for Ollama's clients`,
          {
            code: "unsupported_feature",
          },
        );
    }
  }
  return {
    model: response.model,
    created_at: writeTime(response.createTime, options),
    message: {
      role: "assistant",
      content: text,
      ...(thinking === "" ? {} : { thinking }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
    done: true,
    done_reason: toDoneReason(candidate?.finishReason ?? FinishReason.STOP),
    ...encodeUsage(response.usage),
  };
}

/** Writes a call of an answer. */
export function encodeCall(call: {
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
}): JsonObject {
  const { id, name, argumentsJson } = call;
  return { ...(id === "" ? {} : { id }), function: { name, arguments: parseJsonObject(argumentsJson, "arguments") } };
}

/** Writes when an answer was made. */
export function writeTime(createTime: Timestamp | undefined, options: EncodeResponseOptions): string {
  return (
    createTime === undefined ? new Date(options.fallbackCreated * 1000) : timestampDate(createTime)
  ).toISOString();
}
