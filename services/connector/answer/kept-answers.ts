import type { StreamObserver } from "#codec/codec.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type AnswerEnd, type AnswerReader, noBytes } from "./answer-reader.ts";

/**
 * Passes the content of a file on as it comes; an empty file is one, too. Whatever type its maker gave it, it goes out as
 * bytes that no browser shows.
 */
export class KeptBytes implements AnswerReader {
  readonly contentType = "application/octet-stream";
  readonly over = false;
  readonly usageSoFar: Usage;
  contentSeen = false;

  constructor(used: Usage) {
    this.usageSoFar = used;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.contentSeen = true;
    return chunk;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } {
    return {
      bytes: noBytes,
      end: { usage: this.usageSoFar, finishReason: FinishReason.UNSPECIFIED, complete: true },
    };
  }
}

/** Passes on the events of a stored response that is watched again: what it used was recorded when it was made. */
export class KeptStream implements AnswerReader {
  readonly contentType = "text/event-stream; charset=utf-8";
  readonly usageSoFar: Usage;
  readonly #observer: StreamObserver;
  contentSeen = false;

  constructor(observer: StreamObserver, used: Usage) {
    this.#observer = observer;
    this.usageSoFar = used;
  }

  get over(): boolean {
    return false;
  }

  push(chunk: Uint8Array): Uint8Array {
    const bytes = this.#observer.push(chunk);
    // Whoever watches wants to see that it is queued, too.
    this.contentSeen ||= bytes.length > 0;
    return bytes;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } | undefined {
    return this.#observer.complete && this.#observer.pendingBytes === 0
      ? { bytes: noBytes, end: { usage: this.usageSoFar, finishReason: this.#observer.finishReason, complete: true } }
      : undefined;
  }
}
