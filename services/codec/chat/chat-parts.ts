import { create } from "@bufbuild/protobuf";
import {
  AudioPartSchema,
  type CacheControl,
  type FilePart,
  FilePartSchema,
  type ImagePart,
  ImagePartSchema,
  type Message,
  MessageSchema,
  type Part,
  PartSchema,
  ReasoningPartSchema,
  type Role,
  TextPartSchema,
  ToolCallSchema,
  ToolResultSchema,
} from "#gen/penstock/chat/v1/chat_pb.ts";

/** A message of one role. */
export function message(role: Role, parts: Part[]): Message {
  return create(MessageSchema, { role, parts });
}

/** A piece of text, with the signature over the thought behind it where there is one. */
export function textPart(text: string, signature = ""): Part {
  return wrap({ case: "text", value: create(TextPartSchema, { text, signature }) });
}

/** What the model thought. */
export function reasoningPart(thought: {
  readonly text?: string;
  readonly signature?: string;
  readonly redactedData?: string;
}): Part {
  return wrap({ case: "reasoning", value: create(ReasoningPartSchema, thought) });
}

/** A tool that the model calls. */
export function toolCallPart(call: {
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
  readonly signature?: string;
}): Part {
  return wrap({ case: "toolCall", value: create(ToolCallSchema, call) });
}

/** What a called tool returned. */
export function toolResultPart(result: {
  readonly toolCallId: string;
  readonly name?: string;
  readonly parts: Part[];
  readonly isError?: boolean;
}): Part {
  return wrap({ case: "toolResult", value: create(ToolResultSchema, result) });
}

/** A picture. */
export function imagePart(source: ImagePart["source"], mediaType: string): Part {
  return wrap({ case: "image", value: create(ImagePartSchema, { source, mediaType }) });
}

/** A sound. */
export function audioPart(data: Uint8Array, mediaType: string): Part {
  return wrap({ case: "audio", value: create(AudioPartSchema, { data, mediaType }) });
}

/** A document, or anything else that is neither a picture nor a sound. */
export function filePart(source: FilePart["source"], mediaType: string, filename = ""): Part {
  return wrap({ case: "file", value: create(FilePartSchema, { source, mediaType, filename }) });
}

/** The same part, marked as the end of a prefix worth caching. */
export function withCacheControl(part: Part, cacheControl: CacheControl | undefined): Part {
  return cacheControl === undefined ? part : { ...part, cacheControl };
}

/** The bytes behind base64 text. */
export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

/** Bytes as base64 text. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function wrap(content: Part["content"]): Part {
  return create(PartSchema, { content });
}
