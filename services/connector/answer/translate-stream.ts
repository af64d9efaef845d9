import { Buffer } from "node:buffer";
import type { StreamDecoder, StreamEncoder } from "#codec/codec.ts";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type AnswerEnd, type AnswerReader, noBytes } from "./answer-reader.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { credibleUsage } from "./credible-usage.ts";

/** What translating a stream needs to know. */
export interface TranslateStreamOptions {
  readonly decoder: StreamDecoder;
  readonly encoder: StreamEncoder;
  readonly contentType: string;
  readonly inputBytes: number;
  /** The model to name where the provider names none. */
  readonly model: string;
}

/** Translates a stream from the provider's dialect to the caller's, event by event. */
export class TranslateStream implements AnswerReader {
  readonly contentType: string;
  readonly #decoder: StreamDecoder;
  readonly #encoder: StreamEncoder;
  readonly #inputBytes: number;
  readonly #model: string;
  #contentSeen = false;
  #usage: Usage | undefined;
  #finishReason: FinishReason = FinishReason.UNSPECIFIED;
  #ended = false;
  #outputBytes = 0;
  #held: Uint8Array = noBytes;

  constructor(options: TranslateStreamOptions) {
    this.#decoder = options.decoder;
    this.#encoder = options.encoder;
    this.contentType = options.contentType;
    this.#inputBytes = options.inputBytes;
    this.#model = options.model;
  }

  get contentSeen(): boolean {
    return this.#contentSeen;
  }

  get over(): boolean {
    return this.#ended;
  }

  get usageSoFar(): Usage | undefined {
    return this.#ended ? this.#usage : this.#contentSeen ? this.#estimate() : undefined;
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#ended) {
      return noBytes;
    }
    const encoded = this.#take(this.#decoder.push(chunk));
    if (!this.#ended) {
      return encoded;
    }
    this.#held = encoded;
    return noBytes;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } | undefined {
    if (!this.#ended) {
      this.#held = this.#take(this.#decoder.end());
    }
    if (!this.#ended) {
      return undefined;
    }
    return {
      bytes: this.#held,
      end: { usage: this.#usage ?? this.#estimate(), finishReason: this.#finishReason, complete: true },
    };
  }

  #take(events: readonly ChatEvent[]): Uint8Array {
    if (events.length === 0) {
      return noBytes;
    }
    for (const { event } of events) {
      this.#note(event);
    }
    return this.#encoder.encode(events);
  }

  #note(event: ChatEvent["event"]): void {
    switch (event.case) {
      case "textDelta":
      case "reasoningDelta":
      case "refusalDelta":
        this.#contentSeen = true;
        this.#outputBytes += Buffer.byteLength(event.value.text);
        break;
      case "toolCallStart":
        this.#contentSeen = true;
        break;
      case "toolCallDelta":
        this.#outputBytes += Buffer.byteLength(event.value.argumentsJson);
        break;
      case "finish":
        this.#contentSeen = true;
        if (event.value.candidateIndex === 0) {
          this.#finishReason = event.value.finishReason;
        }
        break;
      case "end":
        this.#ended = true;
        this.#usage = credibleUsage(event.value.usage);
        break;
      case "start":
        event.value.model ||= this.#model;
        break;
      case undefined:
        break;
    }
  }

  #estimate(): Usage {
    return estimateUsage(this.#inputBytes, Math.ceil(this.#outputBytes / 4));
  }
}
