import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ChatCodec, EmbedCodec } from "../codec.ts";
import { decodeError } from "./decode-error.ts";
import { decodeRequest } from "./decode-request.ts";
import { decodeResponse, readResponse } from "./decode-response.ts";
import { decodeEmbedRequest, decodeEmbedResponse, encodeEmbedRequest, encodeEmbedResponse } from "./embed.ts";
import { encodeRequest } from "./encode-request.ts";
import { encodeResponse } from "./encode-response.ts";
import { decodeUsage } from "./map-usage.ts";
import { createStreamDecoder } from "./stream-decoder.ts";
import { createStreamEncoder } from "./stream-encoder.ts";
import { createStreamObserver } from "./stream-observer.ts";

/** Creates the codec of Ollama's own chat. It has no state of its own, so one serves a whole process. */
export function createOllamaCodec(): ChatCodec {
  return {
    dialect: Dialect.OLLAMA,
    decodeRequest,
    encodeRequest,
    decodeResponse,
    encodeResponse,
    createStreamDecoder,
    createStreamEncoder,
    // Ollama always reports usage, so there is no piece that only the gateway asked for.
    createStreamObserver: () => createStreamObserver(),
    readResponse,
    decodeError,
  };
}

/** Creates the codec of Ollama's own embed. */
export function createOllamaEmbedCodec(): EmbedCodec {
  return {
    dialect: Dialect.OLLAMA,
    decodeRequest: decodeEmbedRequest,
    encodeRequest: encodeEmbedRequest,
    decodeResponse: decodeEmbedResponse,
    encodeResponse: encodeEmbedResponse,
    readUsage: decodeUsage,
  };
}
