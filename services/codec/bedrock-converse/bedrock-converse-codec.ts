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

/** Creates the codec of Bedrock's Converse and ConverseStream. It has no state, so one serves a whole process. */
export function createBedrockConverseCodec(): ChatCodec {
  return {
    dialect: Dialect.BEDROCK_CONVERSE,
    decodeRequest,
    encodeRequest,
    decodeResponse,
    encodeResponse,
    createStreamDecoder,
    createStreamEncoder,
    // Bedrock always reports usage, so there is no event that only the gateway asked for.
    createStreamObserver: () => createStreamObserver(),
    readResponse,
    decodeError,
  };
}
