import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Message } from "@bufbuild/protobuf";
import {
  type ChatRequest,
  ChatRequestSchema,
  type ChatResponse,
  ChatResponseSchema,
  Role,
} from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
  EmbedResponseSchema,
} from "#gen/penstock/chat/v1/embed_pb.ts";
import { CodecError } from "../codec.ts";

/** Reads `penstock.chat.v1.ChatRequest` in binary. Throws CodecError for other bytes and for what is required. */
export function decodePenstockChatRequest(bytes: Uint8Array): ChatRequest {
  const request = decode(ChatRequestSchema, bytes);
  requireField(request.model !== "", "model");
  requireField(request.messages.length > 0, "messages");
  for (const [index, message] of request.messages.entries()) {
    requireField(message.role !== Role.UNSPECIFIED, `messages[${index}].role`);
    for (const [position, part] of message.parts.entries()) {
      requireField(part.content.case !== undefined, `messages[${index}].parts[${position}].content`);
    }
  }
  return request;
}

/** Writes `penstock.chat.v1.ChatRequest` in binary. */
export function encodePenstockChatRequest(request: ChatRequest): Uint8Array {
  return toBinary(ChatRequestSchema, request);
}

/** Reads `penstock.chat.v1.ChatResponse` in binary. Throws CodecError for other bytes. */
export function decodePenstockChatResponse(bytes: Uint8Array): ChatResponse {
  return decode(ChatResponseSchema, bytes);
}

/** Writes `penstock.chat.v1.ChatResponse` in binary. */
export function encodePenstockChatResponse(response: ChatResponse): Uint8Array {
  return toBinary(ChatResponseSchema, response);
}

/** Reads `penstock.chat.v1.EmbedRequest` in binary. Throws CodecError for other bytes and for what is required. */
export function decodePenstockEmbedRequest(bytes: Uint8Array): EmbedRequest {
  const request = decode(EmbedRequestSchema, bytes);
  requireField(request.model !== "", "model");
  requireField(request.inputs.length > 0, "inputs");
  return request;
}

/** Writes `penstock.chat.v1.EmbedRequest` in binary. */
export function encodePenstockEmbedRequest(request: EmbedRequest): Uint8Array {
  return toBinary(EmbedRequestSchema, request);
}

/** Reads `penstock.chat.v1.EmbedResponse` in binary. Throws CodecError for other bytes. */
export function decodePenstockEmbedResponse(bytes: Uint8Array): EmbedResponse {
  return decode(EmbedResponseSchema, bytes);
}

/** Writes `penstock.chat.v1.EmbedResponse` in binary. */
export function encodePenstockEmbedResponse(response: EmbedResponse): Uint8Array {
  return toBinary(EmbedResponseSchema, response);
}

function decode<M extends Message>(schema: GenMessage<M>, bytes: Uint8Array): M {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new CodecError(`the body is not a ${schema.typeName}`, { code: "invalid_protobuf", cause });
  }
}

function requireField(isThere: boolean, param: string): void {
  if (!isThere) {
    throw new CodecError(`Missing required parameter: '${param}'.`, { param, code: "missing_required_parameter" });
  }
}
