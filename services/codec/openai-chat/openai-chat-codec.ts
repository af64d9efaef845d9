import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ChatCodec } from "../codec.ts";
import type { OpenAiChatOptions } from "./codec-options.ts";
import { decodeError } from "./decode-error.ts";
import { decodeRequest } from "./decode-request.ts";
import { decodeResponse, readResponse } from "./decode-response.ts";
import { encodeRequest } from "./encode-request.ts";
import { encodeResponse } from "./encode-response.ts";
import { createStreamDecoder } from "./stream-decoder.ts";
import { createStreamEncoder } from "./stream-encoder.ts";
import { createStreamObserver } from "./stream-observer.ts";

export type { OpenAiChatOptions } from "./codec-options.ts";
export { createOpenAiEmbedCodec } from "./openai-embed-codec.ts";

/** Creates the codec of OpenAI's chat completions. `options` say how the provider's server differs from OpenAI. */
export function createOpenAiChatCodec(options: OpenAiChatOptions = {}): ChatCodec {
  return {
    dialect: Dialect.OPENAI_CHAT,
    decodeRequest,
    encodeRequest: (request, requestOptions) => encodeRequest(request, requestOptions, options),
    decodeResponse,
    encodeResponse,
    createStreamDecoder,
    createStreamEncoder,
    createStreamObserver,
    readResponse,
    decodeError,
  };
}
