import {
  type Message,
  type Part,
  type ReasoningPart,
  Role,
  type ToolCall,
  type ToolResult,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import type { OpenAiChatOptions } from "./codec-options.ts";
import { encodeCacheControl, encodeContent } from "./encode-content.ts";
import { writeThoughts } from "./reasoning-details.ts";
import { writeThoughtSignature } from "./thought-signature.ts";

/** Writes the messages of a request. What is left out is added to `dropped`. Throws CodecError (`unsupported_feature`). */
export function encodeMessages(
  messages: readonly Message[],
  options: OpenAiChatOptions,
  dropped: Set<string>,
): readonly JsonObject[] {
  return messages.flatMap((message) => encodeMessage(message, options, dropped));
}

function encodeMessage(message: Message, options: OpenAiChatOptions, dropped: Set<string>): readonly JsonObject[] {
  const name: JsonObject = message.name === "" ? {} : { name: message.name };
  switch (message.role) {
    case Role.SYSTEM:
      return [{ role: "system", content: encodeContent(message.parts, options, dropped), ...name }];
    case Role.DEVELOPER: {
      // Compatible servers seldom know this role, and mean the same by system.
      const role = options.extensions === true ? "system" : "developer";
      return [{ role, content: encodeContent(message.parts, options, dropped), ...name }];
    }
    case Role.ASSISTANT:
      return [{ ...encodeAssistant(message.parts, options, dropped), ...name }];
    case Role.USER:
    case Role.TOOL:
      return encodeTurn(message.parts, name, options, dropped);
    default:
      throw new CodecError("a message has no role", { param: "messages", code: "invalid_value" });
  }
}

// Results come first, each as a message of its own; what else the turn has, and the pictures that results hold, follow
// as a message of the user, since tool messages hold text only.
function encodeTurn(
  parts: readonly Part[],
  name: JsonObject,
  options: OpenAiChatOptions,
  dropped: Set<string>,
): readonly JsonObject[] {
  const results: JsonObject[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (part.content.case === "toolResult") {
      const { value } = part.content;
      results.push(encodeToolResult(value, part, options, dropped));
      rest.push(...value.parts.filter((inner) => inner.content.case !== "text"));
    } else {
      rest.push(part);
    }
  }
  if (rest.length === 0 && results.length > 0) {
    return results;
  }
  return [...results, { role: "user", content: encodeContent(rest, options, dropped), ...name }];
}

function encodeToolResult(
  result: ToolResult,
  part: Part,
  options: OpenAiChatOptions,
  dropped: Set<string>,
): JsonObject {
  const texts = result.parts.filter((inner) => inner.content.case === "text");
  return {
    role: "tool",
    tool_call_id: result.toolCallId,
    content: encodeContent(texts, options, dropped),
    ...encodeCacheControl(part.cacheControl, options, dropped),
  };
}

function encodeAssistant(parts: readonly Part[], options: OpenAiChatOptions, dropped: Set<string>): JsonObject {
  const thoughts: ReasoningPart[] = [];
  const calls: ToolCall[] = [];
  let text = "";
  let refusal = "";
  let signature = "";
  for (const { content } of parts) {
    switch (content.case) {
      case "text":
        text += content.value.text;
        signature = content.value.signature || signature;
        break;
      case "refusal":
        refusal += content.value.text;
        break;
      case "reasoning":
        thoughts.push(content.value);
        break;
      case "toolCall":
        calls.push(content.value);
        break;
      case "image":
      case "audio":
      case "file":
        dropped.add(`messages.${content.case}`);
        break;
      case "toolResult":
      case undefined:
        throw new CodecError("an assistant message holds a part that it cannot", {
          param: "messages",
          code: "invalid_value",
        });
    }
  }
  const extended = options.extensions === true;
  if (thoughts.length > 0 && !extended) {
    dropped.add("reasoning_content");
  }
  const isElsewhere = calls.length > 0 || refusal !== "";
  return {
    role: "assistant",
    content: text === "" && isElsewhere ? null : text,
    ...(refusal === "" ? {} : { refusal }),
    ...(extended ? writeThoughts(thoughts) : {}),
    ...(extended ? writeThoughtSignature(signature) : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => writeToolCall(call, extended)) }),
  };
}

/** Writes a tool call of a message; its signature only where the reader accepts extensions. */
export function writeToolCall(call: ToolCall, withSignature: boolean): Json {
  return {
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: call.argumentsJson || "{}" },
    ...(withSignature ? writeThoughtSignature(call.signature) : {}),
  };
}
