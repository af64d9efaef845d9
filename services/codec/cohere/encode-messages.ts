import {
  type ImagePart,
  type Message,
  type Part,
  Role,
  type ToolCall,
  type ToolResult,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";

/** What to do with what Cohere has no place for: it is told the name of the parameter, in OpenAI's spelling. */
export type Drop = (param: string) => void;

/** Writes the conversation. Throws CodecError (`unsupported_feature`) for sounds and documents. */
export function encodeMessages(messages: readonly Message[], drop: Drop): JsonObject[] {
  return messages.flatMap((message, index) => {
    if (message.name !== "") {
      drop("messages.name");
    }
    if (message.parts.some((part) => part.cacheControl !== undefined)) {
      drop("cache_control");
    }
    return encodeMessage(message, `messages[${index}].content`, drop);
  });
}

function encodeMessage({ role, parts }: Message, path: string, drop: Drop): JsonObject[] {
  switch (role) {
    case Role.SYSTEM:
    case Role.DEVELOPER:
      return [{ role: "system", content: encodeContent(parts, path) }];
    case Role.ASSISTANT:
      return [encodeAssistant(parts, path, drop)];
    case Role.USER:
    case Role.TOOL:
      return encodeTurn(parts, path);
    default:
      throw new CodecError("a message has no role", { param: path, code: "invalid_value" });
  }
}

// Results come first, each as a message of its own; what else the turn has, and the pictures that results hold, follow
// as a message of the user, since tool messages hold text only.
function encodeTurn(parts: readonly Part[], path: string): JsonObject[] {
  const results: JsonObject[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (part.content.case === "toolResult") {
      results.push(encodeToolResult(part.content.value, path));
      rest.push(...part.content.value.parts.filter((inner) => inner.content.case !== "text"));
    } else {
      rest.push(part);
    }
  }
  return rest.length === 0 && results.length > 0
    ? results
    : [...results, { role: "user", content: encodeContent(rest, path) }];
}

function encodeToolResult(result: ToolResult, path: string): JsonObject {
  const texts = result.parts.filter((part) => part.content.case === "text");
  return { role: "tool", tool_call_id: result.toolCallId, content: encodeContent(texts, path) };
}

function encodeAssistant(parts: readonly Part[], path: string, drop: Drop): JsonObject {
  const thoughts: JsonObject[] = [];
  const calls: JsonObject[] = [];
  let text = "";
  for (const { content } of parts) {
    switch (content.case) {
      case "text":
      case "refusal":
        text += content.value.text;
        break;
      case "reasoning":
        // Cohere does not sign: a signed or encrypted thought is another provider's, and means nothing here.
        if (content.value.signature !== "" || content.value.redactedData !== "") {
          drop("reasoning_content");
        } else if (content.value.text !== "") {
          thoughts.push({ type: "thinking", thinking: content.value.text });
        }
        break;
      case "toolCall":
        calls.push(encodeToolCall(content.value));
        break;
      case "image":
      case "audio":
      case "file":
        drop(`messages.${content.case}`);
        break;
      case "toolResult":
      case undefined:
        throw new CodecError("an assistant message holds a part that it cannot", {
          param: path,
          code: "invalid_value",
        });
    }
  }
  // What is said beside calls is the plan of the turn.
  const isPlan = calls.length > 0;
  const spoken: Json = thoughts.length === 0 ? text : [...thoughts, ...(text === "" ? [] : [{ type: "text", text }])];
  const content = isPlan ? thoughts : spoken;
  return {
    role: "assistant",
    ...(isPlan && thoughts.length === 0 ? {} : { content }),
    ...(isPlan && text !== "" ? { tool_plan: text } : {}),
    ...(isPlan ? { tool_calls: calls } : {}),
  };
}

function encodeToolCall({ id, name, argumentsJson }: ToolCall): JsonObject {
  return { id, type: "function", function: { name, arguments: argumentsJson || "{}" } };
}

/** A string where a single text says all, else a list of parts. */
function encodeContent(parts: readonly Part[], path: string): Json {
  const [first] = parts;
  if (first === undefined) {
    return "";
  }
  return parts.length === 1 && first.content.case === "text"
    ? first.content.value.text
    : parts.map((part, place) => encodePart(part, `${path}[${place}]`));
}

function encodePart({ content }: Part, path: string): JsonObject {
  switch (content.case) {
    case "text":
    case "refusal":
      return { type: "text", text: content.value.text };
    case "image":
      return encodeImage(content.value);
    case "audio":
      throw unsupported(path, "is audio, which Cohere's models do not take");
    case "file":
      throw unsupported(path, "is a document, which Cohere's models take as text only");
    case "toolCall":
    case "toolResult":
    case "reasoning":
    case undefined:
      throw new CodecError("a message holds a part that its role cannot", { param: path, code: "invalid_value" });
  }
}

function encodeImage({ source, mediaType, detail }: ImagePart): JsonObject {
  const url =
    source.case === "data" ? `data:${mediaType || "image/png"};base64,${toBase64(source.value)}` : (source.value ?? "");
  return { type: "image_url", image_url: { url, ...(detail === "" ? {} : { detail }) } };
}
