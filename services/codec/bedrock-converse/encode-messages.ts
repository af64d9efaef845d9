import {
  type CacheControl,
  type Message,
  type Part,
  Role,
  type ToolCall,
  type ToolResult,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { parseJsonObject, unsupported } from "../json/json-fields.ts";
import { createDocumentNames, encodeAudio, encodeFile, encodeImage, type NameDocument } from "./encode-media.ts";
import { type ModelFamily, takesCachePoints } from "./model-family.ts";
import { wrapRedacted } from "./redacted-content.ts";
import { encodeToolUseId } from "./tool-use-id.ts";

/** What to do with what Converse has no place for: it is told the name of the parameter, in OpenAI's spelling. */
export type Drop = (param: string) => void;

/** What the parts of one request share. */
interface Context {
  readonly family: ModelFamily;
  readonly drop: Drop;
  readonly nameDocument: NameDocument;
}

/** All that one side says before the other does. */
export interface Turn extends JsonObject {
  readonly role: "user" | "assistant";
  readonly content: JsonObject[];
}

/** A conversation in Converse's form. */
export interface EncodedConversation {
  readonly system: JsonObject[];
  readonly messages: readonly Turn[];
}

/**
 * Writes the conversation: turns alternate, begin with the user, and have all results of the tools that a turn called in
 * one message, first. Instructions in mid-conversation become part of the user's turn; so do all where `foldSystem` says
 * that the model takes none beside the conversation.
 */
export function encodeMessages(
  messages: readonly Message[],
  family: ModelFamily,
  options: { readonly foldSystem: boolean },
  drop: Drop,
): EncodedConversation {
  const context: Context = { family, drop, nameDocument: createDocumentNames() };
  const leading = options.foldSystem ? 0 : countLeadingSystem(messages);
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    if (index < leading) {
      continue;
    }
    const role = message.role === Role.ASSISTANT ? "assistant" : "user";
    const content = encodeParts(message.parts, role, `messages[${index}].content`, context);
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
    // Bedrock refuses a conversation that does not begin with the user.
    turns.unshift({ role: "user", content: [{ text: "." }] });
  }
  trimPrefill(turns);
  return {
    system: messages
      .slice(0, leading)
      .flatMap((message, index) => encodeParts(message.parts, "user", `messages[${index}].content`, context)),
    messages: turns.map(({ role, content }) => ({ role, content: role === "user" ? arrange(content) : content })),
  };
}

/** Writes the mark that ends a prefix worth caching; nothing where there is none or the model has no cache. */
export function encodeCachePoint(control: CacheControl | undefined, family: ModelFamily, drop: Drop): JsonObject[] {
  if (control === undefined) {
    return [];
  }
  if (!takesCachePoints(family)) {
    drop("cache_control");
    return [];
  }
  return [{ cachePoint: { type: "default", ...(control.ttl === "" ? {} : { ttl: control.ttl }) } }];
}

function countLeadingSystem(messages: readonly Message[]): number {
  const first = messages.findIndex(({ role }) => role !== Role.SYSTEM && role !== Role.DEVELOPER);
  return first === -1 ? messages.length : first;
}

function encodeParts(parts: readonly Part[], role: Turn["role"], path: string, context: Context): JsonObject[] {
  const blocks: JsonObject[] = [];
  let held: JsonObject[] = [];
  for (const [place, part] of parts.entries()) {
    const written = encodePart(part, role, `${path}[${place}]`, context);
    blocks.push(...written);
    const marks = written.length === 0 ? [] : encodeCachePoint(part.cacheControl, context.family, context.drop);
    // Claude refuses a mark right after a document, so that one goes behind the next block.
    if (written.at(-1)?.["document"] === undefined) {
      blocks.push(...(marks.length > 0 ? marks : written.length > 0 ? held : []));
      held = written.length > 0 ? [] : held;
    } else {
      held = marks.length > 0 ? marks : held;
    }
  }
  if (held.length > 0) {
    context.drop("cache_control");
  }
  return blocks;
}

function encodePart(part: Part, role: Turn["role"], path: string, context: Context): JsonObject[] {
  const { content } = part;
  switch (content.case) {
    case "text":
    case "refusal":
      return content.value.text.trim() === "" ? [] : [{ text: content.value.text }];
    case "image":
      if (content.value.detail !== "") {
        context.drop("image_url.detail");
      }
      return [encodeImage(content.value, path)];
    case "file":
      return [encodeFile(content.value, path, context.nameDocument)];
    case "audio":
      if (context.family === "claude") {
        throw unsupported(path, "is audio, which Anthropic's models do not take");
      }
      return [encodeAudio(content.value, path)];
    case "toolCall":
      return [encodeToolCall(content.value, path, context)];
    case "toolResult":
      return [encodeToolResult(content.value, path, context)];
    case "reasoning": {
      const { text, signature, redactedData } = content.value;
      if (role === "assistant" && redactedData !== "") {
        return [{ reasoningContent: { redactedContent: wrapRedacted(redactedData) } }];
      }
      if (role === "assistant" && signature !== "") {
        return [{ reasoningContent: { reasoningText: { text, signature } } }];
      }
      // Models that sign refuse a thought without a signature, and most of the others refuse thoughts.
      context.drop("reasoning_content");
      return [];
    }
    default:
      return [];
  }
}

function encodeToolCall({ id, name, argumentsJson }: ToolCall, path: string, { family }: Context): JsonObject {
  const input = parseJsonObject(argumentsJson, `${path}.arguments`);
  return { toolUse: { toolUseId: encodeToolUseId(id, family), name, input } };
}

function encodeToolResult(result: ToolResult, path: string, context: Context): JsonObject {
  const content = result.parts.flatMap((part, index) => encodePart(part, "user", `${path}.content[${index}]`, context));
  return {
    toolResult: {
      toolUseId: encodeToolUseId(result.toolCallId, context.family),
      // Bedrock refuses a result without content.
      content: content.length === 0 ? [{ text: "(no output)" }] : content,
      ...(result.isError ? { status: "error" } : {}),
    },
  };
}

/** Results come first, each with the mark behind it; a message with a document needs a text. */
function arrange(content: readonly JsonObject[]): JsonObject[] {
  const results: JsonObject[] = [];
  const rest: JsonObject[] = [];
  let target = rest;
  for (const block of content) {
    if (block["cachePoint"] === undefined) {
      target = block["toolResult"] === undefined ? rest : results;
    }
    target.push(block);
  }
  const needsText = rest.some((block) => block["document"] !== undefined) && !rest.some((block) => "text" in block);
  return [...results, ...rest, ...(needsText ? [{ text: "." }] : [])];
}

/** The beginning of the answer that the caller wrote must not end in white space. */
function trimPrefill(turns: readonly Turn[]): void {
  const last = turns.at(-1);
  const block = last?.content.at(-1);
  const text = block?.["text"];
  if (last?.role === "assistant" && typeof text === "string") {
    last.content[last.content.length - 1] = { text: text.trimEnd() };
  }
}
