import { Buffer } from "node:buffer";
import type { StreamObserver } from "#codec/codec.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type AnswerEnd, type AnswerReader, noBytes } from "./answer-reader.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { credibleUsage } from "./credible-usage.ts";
import { wellFormedUtf8 } from "./well-formed-utf8.ts";

/** What forwarding a stream needs to know. */
export interface ForwardStreamOptions {
  readonly observer: StreamObserver;
  /** Whether the dialect ends its streams with a marker after which nothing follows. */
  readonly hasFinalMarker: boolean;
  readonly inputBytes: number;
}

/** Forwards a stream in the caller's own dialect as it arrives, cut at the borders of events. */
export class ForwardStream implements AnswerReader {
  readonly contentType = "text/event-stream; charset=utf-8";
  readonly #observer: StreamObserver;
  readonly #hasFinalMarker: boolean;
  readonly #inputBytes: number;
  /** What came last after the answer was complete: it leaves with the end, so that the journal is written first. */
  #held: Uint8Array = noBytes;

  constructor(options: ForwardStreamOptions) {
    this.#observer = options.observer;
    this.#hasFinalMarker = options.hasFinalMarker;
    this.#inputBytes = options.inputBytes;
  }

  get contentSeen(): boolean {
    return this.#observer.contentSeen;
  }

  get over(): boolean {
    return this.#hasFinalMarker && this.#observer.complete;
  }

  get usageSoFar(): Usage | undefined {
    const observer = this.#observer;
    return credibleUsage(observer.usage) ?? (observer.contentSeen ? this.#estimate() : undefined);
  }

  push(chunk: Uint8Array): Uint8Array {
    // Cut at the borders of events, so that no character is cut.
    const forward = wellFormedUtf8(this.#observer.push(chunk));
    if (!this.#observer.complete) {
      return forward;
    }
    const released = this.#held;
    this.#held = forward;
    return released;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } | undefined {
    const observer = this.#observer;
    const finished = observer.finishReason !== FinishReason.UNSPECIFIED;
    if (!observer.complete && (!finished || observer.pendingBytes > 0)) {
      return undefined;
    }
    return {
      bytes: withBlankLine(this.#held),
      end: {
        usage: credibleUsage(observer.usage) ?? this.#estimate(),
        finishReason: observer.finishReason,
        complete: finished,
      },
    };
  }

  #estimate(): Usage {
    return estimateUsage(this.#inputBytes, this.#observer.countedOutputTokens);
  }
}

/** An event counts only with the blank line after it, which may not have come yet when the final marker was seen. */
function withBlankLine(bytes: Uint8Array): Uint8Array {
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(-4).toString("latin1");
  if (end === "" || /\n\r?\n$|\r\r$/.test(end)) {
    return bytes;
  }
  const missing = /\n\r?$/.test(end) ? "\n" : end.endsWith("\r") ? "\n\r\n" : "\n\n";
  return Buffer.concat([bytes, Buffer.from(missing)]);
}
