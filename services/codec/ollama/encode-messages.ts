import { type ImagePart, type Message, type Part, Role, type ToolCall } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { CodecError, type JsonObject } from "../codec.ts";
import { parseJsonObject, unsupported } from "../json/json-fields.ts";
import { isMadeToolCallId } from "./tool-call-id.ts";

/** What to do with what Ollama has no place for: it is told the name of the parameter, in OpenAI's spelling. */
export type Drop = (param: string) => void;

/** Writes the conversation. Throws CodecError (`unsupported_feature`) for sounds, documents and addresses of pictures. */
export function encodeMessages(messages: readonly Message[], drop: Drop): JsonObject[] {
  const names = new Map<string, string>();
  return messages.flatMap((message, index) => {
    if (message.name !== "") {
      drop("messages.name");
    }
    if (message.parts.some((part) => part.cacheControl !== undefined)) {
      drop("cache_control");
    }
    const path = `messages[${index}].content`;
    switch (message.role) {
      case Role.SYSTEM:
      case Role.DEVELOPER:
        return [encodeSaid("system", message.parts, path, drop)];
      case Role.ASSISTANT:
        return [encodeAssistant(message.parts, path, names, drop)];
      case Role.USER:
      case Role.TOOL:
        return encodeTurn(message.parts, path, names, drop);
      default:
        throw new CodecError("a message has no role", { param: path, code: "invalid_value" });
    }
  });
}

// Results come first, each as a message of its own; what else the turn has, and the pictures that results hold, follow
// as a message of the user.
function encodeTurn(
  parts: readonly Part[],
  path: string,
  names: ReadonlyMap<string, string>,
  drop: Drop,
): JsonObject[] {
  const results: JsonObject[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (part.content.case !== "toolResult") {
      rest.push(part);
      continue;
    }
    const { toolCallId, name, parts: inner } = part.content.value;
    const toolName = name === "" ? (names.get(toolCallId) ?? "") : name;
    results.push({
      role: "tool",
      content: joinTexts(inner),
      ...(toolName === "" ? {} : { tool_name: toolName }),
      ...(isMadeToolCallId(toolCallId) ? {} : { tool_call_id: toolCallId }),
    });
    rest.push(...inner.filter(({ content }) => content.case !== "text"));
  }
  return rest.length === 0 && results.length > 0 ? results : [...results, encodeSaid("user", rest, path, drop)];
}

function encodeSaid(role: "system" | "user", parts: readonly Part[], path: string, drop: Drop): JsonObject {
  const images = parts.flatMap(({ content }, place): string[] => {
    switch (content.case) {
      case "image":
        return [encodeImage(content.value, `${path}[${place}]`, drop)];
      case "audio":
        throw unsupported(`${path}[${place}]`, "is audio, which Ollama's models do not take");
      case "file":
        throw unsupported(`${path}[${place}]`, "is a document, which Ollama's models take as text only");
      default:
        return [];
    }
  });
  return { role, content: joinTexts(parts), ...(images.length === 0 ? {} : { images }) };
}

function encodeAssistant(parts: readonly Part[], path: string, names: Map<string, string>, drop: Drop): JsonObject {
  let thinking = "";
  const calls: JsonObject[] = [];
  for (const { content } of parts) {
    switch (content.case) {
      case "reasoning":
        // Ollama does not sign: a signed or encrypted thought is another provider's, and means nothing here.
        if (content.value.signature !== "" || content.value.redactedData !== "") {
          drop("reasoning_content");
        } else {
          thinking += content.value.text;
        }
        break;
      case "toolCall":
        names.set(content.value.id, content.value.name);
        calls.push(encodeCall(content.value, path));
        break;
      case "image":
      case "audio":
      case "file":
        drop(`messages.${content.case}`);
        break;
      default:
        break;
    }
  }
  return {
    role: "assistant",
    content: joinTexts(parts),
    ...(thinking === "" ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function encodeCall({ id, name, argumentsJson }: ToolCall, path: string): JsonObject {
  return {
    ...(isMadeToolCallId(id) ? {} : { id }),
    type: "function",
    function: { name, arguments: parseJsonObject(argumentsJson, `${path}.arguments`) },
  };
}

function joinTexts(parts: readonly Part[]): string {
  return parts
    .flatMap(({ content }) => (content.case === "text" || content.case === "refusal" ? [content.value.text] : []))
    .join("\n");
}

function encodeImage({ source, detail }: ImagePart, path: string, drop: Drop): string {
  if (source.case !== "data") {
    throw unsupported(path, "is an address, and Ollama takes the bytes of pictures only");
  }
  if (detail !== "") {
    drop("image_url.detail");
  }
  return toBase64(source.value);
}
