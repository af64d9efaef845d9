import { type Message, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import { encodeContent } from "./encode-content.ts";

/** The conversation as a provider gets it. */
export interface EncodedInput {
  /** Undefined leaves the field out. */
  readonly instructions: string | undefined;
  readonly input: readonly JsonObject[];
  /** True when thoughts are sent back to the provider that encrypted them. */
  readonly replaysReasoning: boolean;
}

/**
 * Writes the conversation as items, the texts, calls and thoughts of a turn in their order. A system message that begins
 * it becomes the instructions. What is left out is added to `dropped`. Throws CodecError (`unsupported_feature`).
 */
export function encodeInput(messages: readonly Message[], dropped: Set<string>): EncodedInput {
  const instructions = readInstructions(messages);
  const rest = instructions === undefined ? messages : messages.slice(1);
  const input = rest.flatMap((message) => encodeMessage(message, dropped));
  return { instructions, input, replaysReasoning: input.some((item) => item["type"] === "reasoning") };
}

/** The text of a system message that others follow: OpenAI wants some input beside instructions. */
function readInstructions(messages: readonly Message[]): string | undefined {
  const [first] = messages;
  const [part] = first?.parts ?? [];
  const isPlain =
    messages.length > 1 &&
    first?.role === Role.SYSTEM &&
    first.parts.length === 1 &&
    first.name === "" &&
    part?.content.case === "text" &&
    part.cacheControl === undefined;
  return isPlain && part.content.case === "text" ? part.content.value.text || undefined : undefined;
}

function encodeMessage(message: Message, dropped: Set<string>): readonly JsonObject[] {
  if (message.name !== "") {
    dropped.add("messages.name");
  }
  switch (message.role) {
    case Role.SYSTEM:
      return [{ role: "system", content: encodeContent(message.parts, dropped) }];
    case Role.DEVELOPER:
      return [{ role: "developer", content: encodeContent(message.parts, dropped) }];
    case Role.ASSISTANT:
      return encodeAssistant(message.parts, dropped);
    case Role.USER:
    case Role.TOOL:
      return encodeTurn(message.parts, dropped);
    default:
      throw new CodecError("a message has no role", { param: "messages", code: "invalid_value" });
  }
}

/** Results first, each as an item of its own; what else the turn has follows as a message of the user. */
function encodeTurn(parts: readonly Part[], dropped: Set<string>): readonly JsonObject[] {
  const results: JsonObject[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (part.content.case !== "toolResult") {
      rest.push(part);
      continue;
    }
    const { toolCallId, parts: output } = part.content.value;
    if (part.cacheControl !== undefined) {
      dropped.add("cache_control");
    }
    results.push({ type: "function_call_output", call_id: toolCallId, output: encodeContent(output, dropped) });
  }
  if (rest.length === 0 && results.length > 0) {
    return results;
  }
  return [...results, { role: "user", content: encodeContent(rest, dropped) }];
}

function encodeAssistant(parts: readonly Part[], dropped: Set<string>): readonly JsonObject[] {
  const items: JsonObject[] = [];
  let content: Json[] = [];
  const closeMessage = (): void => {
    if (content.length > 0) {
      items.push({ role: "assistant", content });
      content = [];
    }
  };
  for (const part of parts) {
    const value = part.content;
    if (part.cacheControl !== undefined) {
      dropped.add("cache_control");
    }
    switch (value.case) {
      case "text":
        if (value.value.text !== "") {
          content.push({ type: "output_text", text: value.value.text });
        }
        break;
      case "refusal":
        content.push({ type: "refusal", refusal: value.value.text });
        break;
      case "toolCall": {
        closeMessage();
        const { id, name, argumentsJson } = value.value;
        items.push({ type: "function_call", call_id: id, name, arguments: argumentsJson || "{}" });
        break;
      }
      case "reasoning": {
        const { text, signature } = value.value;
        if (signature === "") {
          // Only encrypted thoughts can be sent back; their text alone is refused.
          dropped.add("reasoning_content");
          break;
        }
        closeMessage();
        const summary = text === "" ? [] : [{ type: "summary_text", text }];
        items.push({ type: "reasoning", summary, encrypted_content: signature });
        break;
      }
      case "image":
      case "audio":
      case "file":
        dropped.add(`messages.${value.case}`);
        break;
      case "toolResult":
      case undefined:
        throw new CodecError("an assistant message holds a part that it cannot", {
          param: "messages",
          code: "invalid_value",
        });
    }
  }
  closeMessage();
  return items;
}
