import { type Message, type Part, Role, type ToolCall, type ToolResult } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { encodeCacheControl } from "./encode-cache-control.ts";
import { encodeFile, encodeImage } from "./encode-source.ts";
import { parseJsonObject, unsupported } from "../json/json-fields.ts";

/** What to do with what Anthropic has no place for: it is told the name of the parameter, in OpenAI's spelling. */
export type Drop = (param: string) => void;

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
}

/** Writes the instructions that open the conversation as text blocks, so that each keeps its own cache mark. */
export function encodeSystem(messages: readonly Message[]): JsonObject[] {
  return messages.slice(0, countLeadingSystem(messages)).flatMap((message) => message.parts.flatMap(encodeText));
}

/**
 * Writes the rest of the conversation: turns alternate, begin with the user, and have all results of the tools that a
 * turn called in one message, first. Instructions in mid-conversation become part of the user's turn.
 */
export function encodeMessages(messages: readonly Message[], drop: Drop): JsonObject[] {
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    if (index < countLeadingSystem(messages)) {
      continue;
    }
    const role = message.role === Role.ASSISTANT ? "assistant" : "user";
    const content = message.parts.flatMap((part, place) => {
      const path = `messages[${index}].content[${place}]`;
      return encodePart(part, role, path, drop);
    });
    const last = turns.at(-1);
    if (content.length === 0) {
      continue;
    }
    if (last?.role === role) {
      last.content.push(...content);
    } else {
      turns.push({ role, content });
    }
  }
  if (turns[0]?.role !== "user") {
    // Anthropic refuses a conversation that does not begin with the user.
    turns.unshift({ role: "user", content: [{ type: "text", text: "." }] });
  }
  trimPrefill(turns);
  return turns.map(({ role, content }) => ({ role, content: role === "user" ? resultsFirst(content) : content }));
}

/** An id that Anthropic accepts; two ids that differ stay different. */
function encodeToolCallId(id: string): string {
  return id.replaceAll(/[^a-zA-Z0-9_-]/g, (character) => `_${character.codePointAt(0)?.toString(16) ?? ""}_`);
}

function countLeadingSystem(messages: readonly Message[]): number {
  const first = messages.findIndex(({ role }) => role !== Role.SYSTEM && role !== Role.DEVELOPER);
  return first === -1 ? messages.length : first;
}

function encodePart(part: Part, role: Turn["role"], path: string, drop: Drop): JsonObject[] {
  const { content } = part;
  switch (content.case) {
    case "text":
    case "refusal":
      return encodeText(part);
    case "image":
      if (content.value.detail !== "") {
        drop("image_url.detail");
      }
      return [{ ...encodeImage(content.value, path), ...encodeCacheControl(part.cacheControl) }];
    case "file":
      return [{ ...encodeFile(content.value, path), ...encodeCacheControl(part.cacheControl) }];
    case "audio":
      throw unsupported(path, "is audio, which Anthropic's models do not take");
    case "toolCall":
      return [{ ...encodeToolCall(content.value, path), ...encodeCacheControl(part.cacheControl) }];
    case "toolResult":
      return [{ ...encodeToolResult(content.value, path, drop), ...encodeCacheControl(part.cacheControl) }];
    case "reasoning": {
      const { text, signature, redactedData } = content.value;
      if (role === "assistant" && redactedData !== "") {
        return [{ type: "redacted_thinking", data: redactedData }];
      }
      if (role === "assistant" && signature !== "") {
        return [{ type: "thinking", thinking: text, signature }];
      }
      // Anthropic refuses a thought without its own signature, so one of another provider cannot be shown to it.
      drop("reasoning_content");
      return [];
    }
    default:
      return [];
  }
}

function encodeText(part: Part): JsonObject[] {
  const text = part.content.case === "text" || part.content.case === "refusal" ? part.content.value.text : "";
  return text.trim() === "" ? [] : [{ type: "text", text, ...encodeCacheControl(part.cacheControl) }];
}

function encodeToolCall(call: ToolCall, path: string): JsonObject {
  return {
    type: "tool_use",
    id: encodeToolCallId(call.id),
    name: call.name,
    input: parseJsonObject(call.argumentsJson, `${path}.arguments`),
  };
}

function encodeToolResult(result: ToolResult, path: string, drop: Drop): JsonObject {
  const blocks = result.parts.flatMap((part, index) => encodePart(part, "user", `${path}.content[${index}]`, drop));
  const only = blocks.length === 1 ? blocks[0] : undefined;
  const plain = only?.["type"] === "text" && only["cache_control"] === undefined ? only["text"] : undefined;
  return {
    type: "tool_result",
    tool_use_id: encodeToolCallId(result.toolCallId),
    ...(blocks.length === 0 ? {} : { content: plain ?? blocks }),
    ...(result.isError ? { is_error: true } : {}),
  };
}

function resultsFirst(content: readonly JsonObject[]): JsonObject[] {
  const isResult = (block: JsonObject): boolean => block["type"] === "tool_result";
  return [...content.filter(isResult), ...content.filter((block) => !isResult(block))];
}

/** The beginning of the answer that the caller wrote must not end in white space. */
function trimPrefill(turns: readonly Turn[]): void {
  const last = turns.at(-1);
  const block = last?.content.at(-1);
  const text = block?.["text"];
  if (last?.role === "assistant" && block?.["type"] === "text" && typeof text === "string") {
    last.content[last.content.length - 1] = { ...block, text: text.trimEnd() };
  }
}
