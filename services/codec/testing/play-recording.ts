import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { ChatCodec, EncodeResponseOptions } from "../codec.ts";
import { type CollectedAnswer, collectEvents, collectResponse } from "./collect-answer.ts";
import type { Exchange } from "./read-recordings.ts";

/** The bytes of a recorded stream; undefined for a whole answer. */
export function recordedStream({ response }: Exchange): Buffer | undefined {
  const { sse_text: sse, ndjson_text: ndjson, eventstream_base64: frames } = response;
  return frames === undefined
    ? (sse ?? ndjson) === undefined
      ? undefined
      : Buffer.from(sse ?? ndjson ?? "")
    : Buffer.from(frames, "base64");
}

/** Reads a recorded answer with its dialect's codec. */
export function decodeRecording(codec: ChatCodec, exchange: Exchange): CollectedAnswer {
  const bytes = recordedStream(exchange);
  return bytes === undefined
    ? collectResponse(codec.decodeResponse(exchange.response.body ?? {}))
    : decodeStream(codec, bytes);
}

/** Reads a recorded answer, writes it anew in its own dialect, and reads that. `look` sees what was written of a stream. */
export function recodeRecording(
  codec: ChatCodec,
  exchange: Exchange,
  options: EncodeResponseOptions,
  look?: (bytes: Uint8Array) => void,
): CollectedAnswer {
  const bytes = recordedStream(exchange);
  if (bytes === undefined) {
    const decoded = codec.decodeResponse(exchange.response.body ?? {});
    return collectResponse(codec.decodeResponse(codec.encodeResponse(decoded, options)));
  }
  const decoder = codec.createStreamDecoder();
  const written = codec.createStreamEncoder(options).encode([...decoder.push(bytes), ...decoder.end()]);
  look?.(written);
  return decodeStream(codec, written);
}

/** Holds an observer of a recorded stream to what its decoder reads, and to the bytes. */
export function assertObserved(codec: ChatCodec, exchange: Exchange, isComplete = true): void {
  const bytes = recordedStream(exchange) ?? Buffer.alloc(0);
  const observer = codec.createStreamObserver({ stripUsage: false });
  const forwarded = [bytes.subarray(0, 700), bytes.subarray(700)].map((piece) => observer.push(piece));
  const answer = decodeRecording(codec, exchange);
  assert.deepEqual(Buffer.concat(forwarded), bytes);
  assert.equal(observer.complete, isComplete);
  assert.equal(observer.finishReason, answer.finishReason);
  assert.deepEqual(observer.usage, answer.usage);
  assert.ok(observer.countedOutputTokens > 0);
}

function decodeStream(codec: ChatCodec, bytes: Uint8Array): CollectedAnswer {
  const decoder = codec.createStreamDecoder();
  return collectEvents([...decoder.push(bytes), ...decoder.end()]);
}
