import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ChatCodec } from "../codec.ts";
import { decodeError } from "../openai-chat/decode-error.ts";
import { readResponse } from "../openai-chat/decode-response.ts";
import { createStreamObserver } from "../openai-chat/stream-observer.ts";
import { decodeResponse, encodeResponse } from "./answers.ts";
import { decodeRequest } from "./decode-request.ts";
import { encodeRequest } from "./encode-request.ts";
import { createStreamDecoder, createStreamEncoder } from "./streams.ts";

/** Creates the codec of OpenAI's older completions, which continue a text. */
export function createOpenAiCompletionsCodec(): ChatCodec {
  return {
    dialect: Dialect.OPENAI_COMPLETIONS,
    decodeRequest,
    encodeRequest,
    decodeResponse,
    encodeResponse,
    createStreamDecoder,
    createStreamEncoder,
    createStreamObserver: (options) => createStreamObserver(options, "text"),
    readResponse,
    decodeError,
  };
}
