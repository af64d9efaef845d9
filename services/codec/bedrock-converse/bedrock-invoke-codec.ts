import { createAnthropicMessagesCodec } from "../anthropic-messages/anthropic-messages-codec.ts";
import type { ChatCodec, StreamDecoder, StreamObserver } from "../codec.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { writeSseEvent } from "../sse/write-sse.ts";
import { decodeError } from "./decode-error.ts";
import { createFrameCutter } from "./event-frames.ts";
import { parseFrame } from "./parse-frame.ts";

/**
 * Creates the codec of Claude behind Bedrock's InvokeModel: Anthropic's dialect, whose streams come as events wrapped in
 * frames. An observed stream is forwarded unwrapped, as Anthropic's own; errors are Bedrock's.
 */
export function createBedrockInvokeCodec(): ChatCodec {
  const anthropic = createAnthropicMessagesCodec();
  return {
    ...anthropic,
    createStreamDecoder: () => unwrapDecoder(anthropic.createStreamDecoder()),
    createStreamObserver: (options) => unwrapObserver(anthropic.createStreamObserver(options)),
    decodeError,
  };
}

interface Unwrapper {
  push(bytes: Uint8Array): Buffer;
  readonly pendingBytes: number;
}

/** Turns frames with Anthropic's events into server-sent events. */
function createUnwrapper(): Unwrapper {
  const cutter = createFrameCutter();
  return {
    push(bytes) {
      let events = "";
      for (const frame of cutter.push(bytes)) {
        const { body } = parseFrame(frame);
        const data = Buffer.from(stringOrEmpty(body["bytes"]), "base64").toString("utf8");
        if (data !== "") {
          const event = parseJson(data, "the stream");
          events += writeSseEvent(isJsonObject(event) ? stringOrEmpty(event["type"]) : "", data);
        }
      }
      return Buffer.from(events, "utf8");
    },
    get pendingBytes() {
      return cutter.pendingBytes;
    },
  };
}

function unwrapDecoder(decoder: StreamDecoder): StreamDecoder {
  const unwrapper = createUnwrapper();
  return { push: (bytes) => decoder.push(unwrapper.push(bytes)), end: () => decoder.end() };
}

function unwrapObserver(observer: StreamObserver): StreamObserver {
  const unwrapper = createUnwrapper();
  return {
    push: (bytes) => observer.push(unwrapper.push(bytes)),
    get contentSeen() {
      return observer.contentSeen;
    },
    get complete() {
      return observer.complete;
    },
    get usage() {
      return observer.usage;
    },
    get finishReason() {
      return observer.finishReason;
    },
    get pendingBytes() {
      return unwrapper.pendingBytes + observer.pendingBytes;
    },
    get countedOutputTokens() {
      return observer.countedOutputTokens;
    },
  };
}
