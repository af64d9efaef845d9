import { type Message, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { message, reasoningPart, toolCallPart, toolResultPart, textPart } from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";
import { decodeContent } from "./decode-content.ts";
import { readEncryptedContent } from "./encrypted-content.ts";
import { readCallName } from "./tool-names.ts";

const ROLES: ReadonlyMap<string, Role> = new Map([
  ["system", Role.SYSTEM],
  ["developer", Role.DEVELOPER],
  ["user", Role.USER],
  ["assistant", Role.ASSISTANT],
]);

/** The kind of an input item: its type, or `message` for one that has a role only. */
export function typeOfItem(item: JsonObject): string {
  return asString(item["type"]) || (item["role"] === undefined ? "" : "message");
}

/**
 * Reads the input of a request that `validateInput` has passed: a string, or items. The thoughts, calls and texts that
 * follow one another are one turn of the assistant. Throws CodecError for what cannot be translated.
 */
export function decodeInput(input: Json | undefined): Message[] {
  if (typeof input === "string") {
    return [message(Role.USER, [textPart(input)])];
  }
  const reader = new InputReader();
  for (const [index, item] of asArray(input).entries()) {
    reader.read(asObject(item) ?? {}, `input[${index}]`);
  }
  return reader.messages;
}

/** The text of a reasoning item: the thought itself where a server shows it, else its summary. */
export function readThought(item: JsonObject): string {
  const thought = asArray(item["content"])
    .map((part) => asString(asObject(part)?.["text"]))
    .join("");
  return (
    thought ||
    asArray(item["summary"])
      .map((part) => asString(asObject(part)?.["text"]))
      .join("\n\n")
  );
}

class InputReader {
  readonly messages: Message[] = [];
  /** The signature of the call that comes next. */
  #nextSignature = "";

  read(item: JsonObject, param: string): void {
    const type = typeOfItem(item);
    switch (type) {
      case "message":
        this.#readMessage(item, param);
        break;
      case "reasoning":
        this.#readReasoning(item);
        break;
      case "function_call":
        this.#readCall(item, asString(item["arguments"]).trim() || "{}");
        break;
      case "custom_tool_call":
        this.#readCall(item, JSON.stringify({ input: asString(item["input"]) }));
        break;
      case "web_search_call":
      case "code_interpreter_call":
      case "image_generation_call":
      case "tool_search_call":
      case "tool_search_output":
        // What OpenAI's own tools did in an earlier turn. What came of it is in the text of that turn.
        break;
      case "custom_tool_call_output":
      case "function_call_output": {
        const parts = decodeContent(item["output"], `${param}.output`);
        const toolCallId = asString(item["call_id"]);
        this.messages.push(message(Role.TOOL, [toolResultPart({ toolCallId, parts })]));
        break;
      }
      default:
        throw unsupported(`${param}.type`, `must not be '${type.slice(0, 64)}' with this model`);
    }
  }

  #readCall(item: JsonObject, argumentsJson: string): void {
    this.#turn().parts.push(
      toolCallPart({
        id: asString(item["call_id"]),
        name: readCallName(item),
        argumentsJson,
        signature: this.#nextSignature,
      }),
    );
    this.#nextSignature = "";
  }

  #readMessage(item: JsonObject, param: string): void {
    const role = ROLES.get(asString(item["role"])) ?? Role.USER;
    const parts = decodeContent(item["content"], `${param}.content`);
    if (role !== Role.ASSISTANT) {
      this.messages.push(message(role, parts));
      return;
    }
    const last = this.messages.at(-1);
    // Two messages in a row stay two, so that their texts do not run into one another.
    if (last?.role === Role.ASSISTANT && isText(last.parts.at(-1)) && parts.length > 0) {
      this.messages.push(message(role, parts));
    } else {
      this.#turn().parts.push(...parts);
    }
  }

  #readReasoning(item: JsonObject): void {
    const text = readThought(item);
    const { kind, value } = readEncryptedContent(asString(item["encrypted_content"]));
    switch (kind) {
      case "next":
        this.#nextSignature = value;
        break;
      case "previous": {
        const content = this.messages.at(-1)?.parts.at(-1)?.content;
        if (content?.case === "text") {
          content.value.signature = value;
        }
        break;
      }
      case "redacted":
        this.#turn().parts.push(reasoningPart({ redactedData: value }));
        break;
      case "signature":
        // Without content there is nothing to send to anyone: the item lives at the provider that stored it.
        if (text !== "" || value !== "") {
          this.#turn().parts.push(reasoningPart({ text, signature: value }));
        }
        break;
    }
  }

  /** The assistant's turn that goes on, or a new one. */
  #turn(): Message {
    const last = this.messages.at(-1);
    if (last?.role === Role.ASSISTANT) {
      return last;
    }
    const turn = message(Role.ASSISTANT, []);
    this.messages.push(turn);
    return turn;
  }
}

function isText(part: Part | undefined): boolean {
  return part?.content.case === "text" || part?.content.case === "refusal";
}
