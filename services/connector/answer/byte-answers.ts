import { Buffer } from "node:buffer";
import { CodecError } from "#codec/codec.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type AnswerEnd, type AnswerReader, noBytes } from "./answer-reader.ts";

/** The largest answer of text that is taken in one piece. */
const maxTextBytes = 64 * 1024 * 1024;

/** Passes bytes on as they come, such as sound that is played while it is made. `used` is what it amounts to. */
export class ByteStream implements AnswerReader {
  readonly contentType: string;
  readonly over = false;
  readonly #used: Usage;
  #bytes = 0;

  constructor(contentType: string, used: Usage) {
    this.contentType = contentType;
    this.#used = used;
  }

  get contentSeen(): boolean {
    return this.#bytes > 0;
  }

  get usageSoFar(): Usage | undefined {
    return this.contentSeen ? this.#used : undefined;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#bytes += chunk.length;
    return chunk;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } | undefined {
    return this.contentSeen ? { bytes: noBytes, end: endOf(this.#used) } : undefined;
  }
}

/** Takes an answer that is text and not JSON, such as subtitles, in one piece: what is cut is never shown. */
export class WholeText implements AnswerReader {
  readonly contentType: string;
  readonly over = false;
  readonly contentSeen = false;
  readonly usageSoFar: Usage | undefined = undefined;
  readonly #usageOf: (text: Uint8Array) => Usage;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(contentType: string, usageOf: (text: Uint8Array) => Usage) {
    this.contentType = contentType;
    this.#usageOf = usageOf;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#bytes += chunk.length;
    if (this.#bytes > maxTextBytes) {
      throw new CodecError("the answer is too large", { code: "answer_too_large" });
    }
    this.#chunks.push(chunk);
    return noBytes;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return { bytes, end: endOf(this.#usageOf(bytes)) };
  }
}

function endOf(usage: Usage): AnswerEnd {
  return { usage, finishReason: FinishReason.UNSPECIFIED, complete: true };
}
