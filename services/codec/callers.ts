import { isUtf8 } from "node:buffer";
import type { ChatRequest, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EmbedRequest, EmbedResponse } from "#gen/penstock/chat/v1/embed_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import {
  type ChatCodec,
  CodecError,
  type EmbedCodec,
  type EncodeResponseOptions,
  type JsonObject,
  type StreamEncoder,
} from "./codec.ts";
import {
  decodePenstockChatRequest,
  decodePenstockEmbedRequest,
  encodePenstockChatResponse,
  encodePenstockEmbedResponse,
} from "./penstock/penstock-messages.ts";
import { createPenstockStreamEncoder } from "./penstock/penstock-stream.ts";

/** A body for a caller, with its media type. */
export interface CallerBody {
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** What speaks to a caller in the caller's own dialect, whatever the form of its bodies. */
export interface CallerCodec {
  /**
   * Reads a request; adds to `dropped` as `ChatCodec.decodeRequest`. Throws CodecError; `invalid_json` when the body is not
   * JSON where it should be.
   */
  decodeChatRequest(body: Uint8Array, dropped?: Set<string>): ChatRequest;
  encodeChatResponse(response: ChatResponse, options: EncodeResponseOptions): CallerBody;
  createChatStreamEncoder(options: EncodeResponseOptions): StreamEncoder;
  /** The media type of a streamed answer. */
  readonly streamContentType: string;
  /** Reads a request for vectors. Throws CodecError (`unsupported_feature`) where the dialect has none. */
  decodeEmbedRequest(body: Uint8Array): EmbedRequest;
  /** Writes vectors; `encodingFormat` is OpenAI's, `float` when the request named none. Throws as `decodeEmbedRequest`. */
  encodeEmbedResponse(response: EmbedResponse, encodingFormat?: string): CallerBody;
}

/** The media type of bodies in the typed form. */
export const PENSTOCK_CONTENT_TYPE = "application/protobuf";
/** The media type of streams in the typed form: messages with their size in front. */
const PENSTOCK_STREAM_CONTENT_TYPE = "application/vnd.penstock.stream+proto";

/** Makes what speaks to callers of a dialect. Throws CodecError (`unsupported_feature`) for one without a codec. */
export function createCallerCodec(
  dialect: Dialect,
  chat: ReadonlyMap<Dialect, ChatCodec>,
  embed: ReadonlyMap<Dialect, EmbedCodec>,
): CallerCodec {
  if (dialect === Dialect.PENSTOCK) {
    return penstockCallerCodec;
  }
  const chatCodec = chat.get(dialect);
  if (chatCodec === undefined) {
    throw new CodecError(`no codec speaks the dialect ${dialect}`, { code: "unsupported_feature" });
  }
  const embedCodec = embed.get(dialect);
  return {
    decodeChatRequest: (body, dropped) => chatCodec.decodeRequest(parseJsonBody(body), dropped),
    encodeChatResponse: (response, options) => writeJsonBody(chatCodec.encodeResponse(response, options)),
    createChatStreamEncoder: (options) => chatCodec.createStreamEncoder(options),
    streamContentType: "text/event-stream; charset=utf-8",
    decodeEmbedRequest: (body) => required(embedCodec, dialect).decodeRequest(parseJsonBody(body)),
    encodeEmbedResponse(response, encodingFormat) {
      const codec: EmbedEncoder = required(embedCodec, dialect);
      return writeJsonBody(codec.encodeResponse(response, encodingFormat));
    },
  };
}

/** Parses a JSON body that must hold an object. Throws CodecError: `invalid_json`, or `invalid_type` for other JSON. */
export function parseJsonBody(body: Uint8Array): JsonObject {
  if (!isUtf8(body)) {
    throw new CodecError("The body is not valid UTF-8.", { code: "invalid_json" });
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  } catch (cause) {
    throw new CodecError("We could not parse the JSON body of your request.", { code: "invalid_json", cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CodecError("The JSON body of your request must be an object.", { code: "invalid_type" });
  }
  // JSON.parse makes nothing but JSON values, and this one is an object.
  return value as JsonObject;
}

/** The one method of embed codecs that the interface has without the encoding, which only OpenAI's dialect knows. */
interface EmbedEncoder {
  encodeResponse(response: EmbedResponse, encodingFormat?: string): JsonObject;
}

const penstockCallerCodec: CallerCodec = {
  decodeChatRequest: decodePenstockChatRequest,
  encodeChatResponse: (response) => ({
    contentType: PENSTOCK_CONTENT_TYPE,
    body: encodePenstockChatResponse(response),
  }),
  createChatStreamEncoder: createPenstockStreamEncoder,
  streamContentType: PENSTOCK_STREAM_CONTENT_TYPE,
  decodeEmbedRequest: decodePenstockEmbedRequest,
  encodeEmbedResponse: (response) => ({
    contentType: PENSTOCK_CONTENT_TYPE,
    body: encodePenstockEmbedResponse(response),
  }),
};

function writeJsonBody(body: JsonObject): CallerBody {
  return { contentType: "application/json; charset=utf-8", body: Buffer.from(JSON.stringify(body), "utf8") };
}

function required(codec: EmbedCodec | undefined, dialect: Dialect): EmbedCodec {
  if (codec === undefined) {
    throw new CodecError(`the dialect ${dialect} has no embeddings`, { code: "unsupported_feature" });
  }
  return codec;
}
