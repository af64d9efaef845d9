import { type Message, type Part, Role, type ToolCall, type ToolResult } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toBase64 } from "../chat/chat-parts.ts";
import { isJsonObject, missing, parseJsonObject } from "../json/json-fields.ts";
import type { Json, JsonObject } from "../codec.ts";
import { guessMediaType } from "./guess-media-type.ts";
import { isMadeToolCallId } from "./tool-call-id.ts";

/** What Gemini accepts in place of a signature for a call that another model made. */
export const SKIP_SIGNATURE = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/** How to write a conversation. */
export interface EncodeContentsOptions {
  /** Whether a turn of calls without any signature gets the value that stands for one. */
  readonly signCalls: boolean;
  /** Is told what had to be left out, in OpenAI's spelling. */
  readonly drop: (param: string) => void;
}

/** A part, with the id that ties a result to its call; what goes to Gemini may be without one. */
interface EncodedPart {
  readonly json: JsonObject;
  readonly kind: "call" | "result" | "other";
  readonly callId: string;
}

interface Turn {
  readonly role: "user" | "model";
  parts: EncodedPart[];
}

/** Writes the instructions that open the conversation; undefined when there are none. */
export function encodeSystemInstruction(messages: readonly Message[]): JsonObject | undefined {
  const parts = messages
    .slice(0, countLeadingSystem(messages))
    .flatMap((message) => message.parts)
    .flatMap((part) =>
      part.content.case === "text" && part.content.value.text !== "" ? [part.content.value.text] : [],
    )
    .map((text) => ({ text }));
  return parts.length === 0 ? undefined : { parts };
}

/**
 * Writes the rest of the conversation: turns alternate, and the results of all calls of a turn are in one turn, in the
 * order of the calls. A signature goes back on the very part that it came with, and on no other.
 */
export function encodeContents(messages: readonly Message[], options: EncodeContentsOptions): JsonObject[] {
  const calls = listCalls(messages);
  const turns: Turn[] = [];
  for (const [index, message] of messages.entries()) {
    if (index < countLeadingSystem(messages)) {
      continue;
    }
    const role = message.role === Role.ASSISTANT ? "model" : "user";
    const encoded = message.parts.flatMap((part, place) =>
      encodePart(part, `messages[${index}].content[${place}]`, calls, options),
    );
    const last = turns.at(-1);
    if (encoded.length === 0) {
      continue;
    }
    if (last?.role === role) {
      last.parts.push(...encoded);
    } else {
      turns.push({ role, parts: encoded });
    }
  }
  for (const [index, turn] of turns.entries()) {
    if (turn.role === "user") {
      turn.parts = orderResults(turn.parts, turns[index - 1]);
    } else if (options.signCalls) {
      turn.parts = signFirstCall(turn.parts);
    }
  }
  // A conversation of instructions only has nothing to answer, and Gemini refuses it.
  return turns.length === 0
    ? [{ role: "user", parts: [{ text: "." }] }]
    : turns.map(({ role, parts }) => ({ role, parts: parts.map(({ json }) => json) }));
}

function countLeadingSystem(messages: readonly Message[]): number {
  const first = messages.findIndex(({ role }) => role !== Role.SYSTEM && role !== Role.DEVELOPER);
  return first === -1 ? messages.length : first;
}

function listCalls(messages: readonly Message[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { parts } of messages) {
    for (const { content } of parts) {
      if (content.case === "toolCall") {
        names.set(content.value.id, content.value.name);
      }
    }
  }
  return names;
}

function encodePart(
  part: Part,
  path: string,
  calls: ReadonlyMap<string, string>,
  options: EncodeContentsOptions,
): EncodedPart[] {
  const { content } = part;
  if (part.cacheControl !== undefined) {
    options.drop("cache_control");
  }
  switch (content.case) {
    case "text": {
      const { text, signature } = content.value;
      return text === "" && signature === "" ? [] : [other({ text, ...signed(signature) })];
    }
    case "refusal":
      return content.value.text === "" ? [] : [other({ text: content.value.text })];
    case "image":
      if (content.value.detail !== "" && content.value.detail !== "auto") {
        options.drop("image_url.detail");
      }
      return [other(encodeMedia(content.value, "image/jpeg", path))];
    case "audio":
      return [other({ inlineData: { mimeType: content.value.mediaType, data: toBase64(content.value.data) } })];
    case "file":
      return [other(encodeMedia(content.value, "application/pdf", path))];
    case "toolCall":
      return [{ json: encodeCall(content.value, path), kind: "call", callId: content.value.id }];
    case "toolResult":
      return encodeResult(content.value, path, calls, options);
    case "reasoning": {
      const { text, signature, redactedData } = content.value;
      // Gemini signs texts and calls and never thoughts, so an opaque thought is another provider's and would be refused.
      if (redactedData !== "" || signature !== "") {
        options.drop("reasoning_details");
      }
      return text === "" ? [] : [other({ text, thought: true })];
    }
    default:
      return [];
  }
}

function encodeMedia(
  media: Extract<Part["content"], { case: "image" | "file" }>["value"],
  fallbackType: string,
  path: string,
): JsonObject {
  switch (media.source.case) {
    case "data":
      return {
        inlineData: {
          mimeType: media.mediaType === "" ? fallbackType : media.mediaType,
          data: toBase64(media.source.value),
        },
      };
    case "url":
    case "fileId": {
      const mimeType = media.mediaType === "" ? (guessMediaType(media.source.value) ?? fallbackType) : media.mediaType;
      return { fileData: { mimeType, fileUri: media.source.value } };
    }
    default:
      throw missing(path);
  }
}

function encodeCall(call: ToolCall, path: string): JsonObject {
  return {
    functionCall: {
      ...(isMadeToolCallId(call.id) ? {} : { id: call.id }),
      name: call.name,
      args: parseJsonObject(call.argumentsJson, `${path}.arguments`),
    },
    ...signed(call.signature),
  };
}

function encodeResult(
  result: ToolResult,
  path: string,
  calls: ReadonlyMap<string, string>,
  options: EncodeContentsOptions,
): EncodedPart[] {
  const name = calls.get(result.toolCallId) ?? (result.name === "" ? undefined : result.name);
  if (name === undefined) {
    throw missing(`${path}.name`);
  }
  const texts: string[] = [];
  const media: EncodedPart[] = [];
  for (const [index, part] of result.parts.entries()) {
    if (part.content.case === "text") {
      texts.push(part.content.value.text);
    } else {
      media.push(...encodePart(part, `${path}.content[${index}]`, calls, options));
    }
  }
  const json = {
    functionResponse: {
      ...(isMadeToolCallId(result.toolCallId) ? {} : { id: result.toolCallId }),
      name,
      response: wrapResult(texts.join(""), result.isError),
    },
  };
  return [{ json, kind: "result", callId: result.toolCallId }, ...media];
}

/** A result as the object that Gemini wants: the object that the text holds, or the text wrapped into one. */
function wrapResult(text: string, isError: boolean): JsonObject {
  if (isError) {
    return { error: text };
  }
  // Parsing would round integers of more than 15 digits.
  if (!text.trimStart().startsWith("{") || /\d{16}/.test(text)) {
    return { result: text };
  }
  try {
    // JSON.parse makes nothing but JSON values.
    const value = JSON.parse(text) as Json;
    return isJsonObject(value) ? value : { result: text };
  } catch {
    // A text that only looks like an object is a text.
    return { result: text };
  }
}

function orderResults(parts: EncodedPart[], before: Turn | undefined): EncodedPart[] {
  const order = (before?.parts ?? []).filter(({ kind }) => kind === "call").map(({ callId }) => callId);
  const rankOf = ({ callId }: EncodedPart): number => {
    const rank = order.indexOf(callId);
    return rank === -1 ? order.length : rank;
  };
  const results = parts.filter(({ kind }) => kind === "result").toSorted((one, two) => rankOf(one) - rankOf(two));
  return [...results, ...parts.filter(({ kind }) => kind !== "result")];
}

/** Of calls made in parallel Gemini signs the first only, and wants no more. */
function signFirstCall(parts: EncodedPart[]): EncodedPart[] {
  const first = parts.findIndex(({ kind }) => kind === "call");
  const isSigned = parts.some(({ kind, json }) => kind === "call" && json["thoughtSignature"] !== undefined);
  return first === -1 || isSigned
    ? parts
    : parts.map((part, index) =>
        index === first ? { ...part, json: { ...part.json, thoughtSignature: SKIP_SIGNATURE } } : part,
      );
}

function other(json: JsonObject): EncodedPart {
  return { json, kind: "other", callId: "" };
}

function signed(signature: string): JsonObject {
  return signature === "" ? {} : { thoughtSignature: signature };
}
