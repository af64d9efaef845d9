import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ChatCodec } from "../codec.ts";
import { decodeError } from "./decode-error.ts";
import { decodeRequest } from "./decode-request.ts";
import { decodeResponse, readResponse } from "./decode-response.ts";
import { encodeRequest } from "./encode-request.ts";
import { encodeResponse } from "./encode-response.ts";
import { createStreamDecoder } from "./stream-decoder.ts";
import { createStreamEncoder } from "./stream-encoder.ts";
import { createStreamObserver } from "./stream-observer.ts";

/** Creates the codec of OpenAI's Responses API, without what it stores: each request holds its whole conversation. */
export function createOpenAiResponsesCodec(): ChatCodec {
  return {
    dialect: Dialect.OPENAI_RESPONSES,
    decodeRequest,
    encodeRequest,
    decodeResponse,
    encodeResponse,
    createStreamDecoder,
    createStreamEncoder,
    createStreamObserver,
    readResponse,
    decodeError,
  };
}
