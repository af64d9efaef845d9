import type { ChatRequest } from "#gen/penstock/chat/v1/chat_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { createAnthropicMessagesCodec } from "../anthropic-messages/anthropic-messages-codec.ts";
import { type ChatCodec, CodecError, type EncodedRequest, type Json, type JsonObject } from "../codec.ts";
import { createGeminiCodec } from "../gemini/gemini-codec.ts";
import { camelKeys } from "../gemini/google-json.ts";
import { missing, readObject } from "../json/json-fields.ts";

/** How one dialect asks how many tokens a conversation has. Pure. */
export interface CountTokensCodec {
  readonly dialect: Dialect;
  /** Whether a provider of this codec takes a question in its dialect as it is. */
  takes(body: JsonObject): boolean;
  /** Reads a question. Throws CodecError. */
  decodeRequest(body: JsonObject): ChatRequest;
  /** Writes a question for a provider. Throws CodecError where the conversation cannot be written. */
  encodeRequest(request: ChatRequest, options: { readonly model: string }): EncodedRequest;
  /** Reads a provider's answer. Throws CodecError when it holds no count. */
  decodeResponse(body: JsonObject): number;
  /** Writes an answer. */
  encodeResponse(tokens: number): JsonObject;
}

/** Used only to write a conversation, of which the limit is taken out again. */
const anyLimit = 4096;

/** Creates the codec of Anthropic's count_tokens. */
export function createAnthropicCountCodec(): CountTokensCodec {
  const chat = createAnthropicMessagesCodec();
  return {
    dialect: Dialect.ANTHROPIC_MESSAGES,
    takes: () => true,
    // A question has no limit, which a conversation must have.
    decodeRequest: (body) => chat.decodeRequest({ max_tokens: anyLimit, ...body }),
    encodeRequest(request, { model }) {
      const { body, dropped } = encodeChat(chat, request, model);
      return { body: only(body, anthropicMembers), dropped };
    },
    decodeResponse: (body) => readCount(body, "input_tokens"),
    encodeResponse: (tokens) => ({ input_tokens: tokens }),
  };
}

/**
 * Creates the codec of Gemini's countTokens. Google's Gemini API takes a whole conversation only `wrapped` in a member of
 * its own, and Vertex only without.
 */
export function createGeminiCountCodec({ wrapped }: { readonly wrapped: boolean }): CountTokensCodec {
  const chat = createGeminiCodec();
  return {
    dialect: Dialect.GEMINI,
    takes: (body) => wrapped || camelKeys(body)[wrapper] === undefined,
    decodeRequest(body) {
      const question = camelKeys(body);
      return chat.decodeRequest(readObject(question, wrapper, "") ?? question);
    },
    encodeRequest(request, { model }) {
      const { body, dropped } = encodeChat(chat, request, model);
      const question = only(body, geminiMembers);
      return { body: wrapped ? { [wrapper]: { model: `models/${model}`, ...question } } : question, dropped };
    },
    // A count of 0 is left out, as Google does with all that is nothing.
    decodeResponse: (body) =>
      Object.keys(body).length === 0 ? 0 : readCount({ totalTokens: 0, ...body }, "totalTokens"),
    encodeResponse: (tokens) => ({ totalTokens: tokens }),
  };
}

/** What of a conversation counts at Anthropic; it refuses the rest. */
const anthropicMembers: readonly string[] = [
  "model",
  "messages",
  "system",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
];
const wrapper = "generateContentRequest";
const geminiMembers: readonly string[] = ["contents", "systemInstruction", "tools", "toolConfig"];

function encodeChat(chat: ChatCodec, request: ChatRequest, model: string): EncodedRequest {
  return chat.encodeRequest(request, { model, stream: false, defaultMaxOutputTokens: anyLimit });
}

function only(body: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([name]) => members.includes(name)));
}

function readCount(body: JsonObject, name: string): number {
  const value: Json | undefined = body[name];
  if (value === undefined) {
    throw missing(name);
  }
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new CodecError(`the answer's ${name} is no count`, { param: name, code: "invalid_response" });
  }
  return value;
}
