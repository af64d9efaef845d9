import type { Buffer } from "node:buffer";
import { CodecError, type Json, type JsonObject } from "#codec/codec.ts";
import { tokensOfReference } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

/**
 * Reads and checks a Messages request. Throws CodecError for what Anthropic would refuse whatever the model: the rest is
 * for the provider to say, since a request that is forwarded may use what this gateway has never heard of.
 */
export function inspectAnthropicMessages(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  const maxTokens = body["max_tokens"];
  if (maxTokens === undefined) {
    throw new CodecError("max_tokens: Field required", { code: "missing_required_parameter", param: "max_tokens" });
  }
  if (typeof maxTokens !== "number" || !Number.isSafeInteger(maxTokens) || maxTokens < 0) {
    throw new CodecError("max_tokens: Input should be a valid integer", { code: "invalid_type", param: "max_tokens" });
  }
  checkStream(body);
  refuseThread(body);
  return {
    model,
    stream: body["stream"] === true,
    inputTokenBound: boundAnthropicInput(bytes.length, body),
    outputTokenLimit: BigInt(maxTokens),
    candidates: 1n,
  };
}

/** Reads and checks a count_tokens request, which has no limit and is never streamed. Throws CodecError. */
export function inspectAnthropicCount(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  return {
    model: readModel(body),
    stream: false,
    inputTokenBound: boundAnthropicInput(bytes.length, body),
    outputTokenLimit: 0n,
    candidates: 1n,
  };
}

function checkStream(body: JsonObject): void {
  const { stream } = body;
  if (stream !== undefined && typeof stream !== "boolean") {
    throw new CodecError("stream: Input should be a valid boolean", { code: "invalid_type", param: "stream" });
  }
}

/**
 * A message thread is kept by the provider, in the operator's account, which tenants share; and the body of a request
 * that goes on with one says nothing of how much the model will read. Anthropic's clients send the whole conversation
 * instead when they are told with this code.
 */
function refuseThread(body: JsonObject): void {
  if ((body["thread"] ?? undefined) !== undefined) {
    throw new CodecError("thread: message threads are not supported by this gateway", {
      code: "thread_unsupported_request",
      param: "thread",
    });
  }
}

/** The bytes of the body, and a fixed number for each picture and document that it only refers to. Throws CodecError. */
function boundAnthropicInput(bodyBytes: number, body: JsonObject): bigint {
  const { messages } = body;
  if (messages === undefined) {
    throw new CodecError("messages: Field required", { code: "missing_required_parameter", param: "messages" });
  }
  if (!Array.isArray(messages)) {
    throw new CodecError("messages: Input should be a valid array", { code: "invalid_type", param: "messages" });
  }
  if (messages.length === 0) {
    throw new CodecError("messages: at least one message is required", { code: "empty_array", param: "messages" });
  }
  let references = 0n;
  for (const [index, message] of messages.entries()) {
    const { role, content } = objectAt(message, `messages.${index}`);
    if (role !== "user" && role !== "assistant" && role !== "system") {
      throw new CodecError(`messages.${index}.role: Input should be 'user' or 'assistant'`, {
        code: "invalid_value",
        param: `messages[${index}].role`,
      });
    }
    references += referencesIn(content);
  }
  return BigInt(bodyBytes) + references;
}

function objectAt(value: unknown, path: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CodecError(`${path}: Input should be an object`, { code: "invalid_type", param: path });
  }
  // Part of what JSON.parse made, and an object.
  return value as JsonObject;
}

/** Blocks whose source is an address or an uploaded file; those of tool results are a level deeper. */
function referencesIn(content: Json | undefined): bigint {
  if (!Array.isArray(content)) {
    return 0n;
  }
  let sum = 0n;
  for (const block of content as readonly Json[]) {
    if (typeof block !== "object" || block === null || Array.isArray(block)) {
      continue;
    }
    // Not an array, as the line above says.
    const { type, source, content: inner } = block as JsonObject;
    const sourceType = typeof source === "object" && source !== null && "type" in source ? source["type"] : undefined;
    if (sourceType === "url" || sourceType === "file") {
      sum += type === "image" ? tokensOfReference.image : tokensOfReference.file;
    }
    sum += referencesIn(inner);
  }
  return sum;
}
