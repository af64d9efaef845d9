import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { KeyRecord, WatchKeysResponse } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

const messageSize = 500;

/**
 * One caller's stream of keys: those of the start, then changes, in messages of up to 500.
 *
 * Holds at most `capacity` keys that the caller has not read, beyond those of the start; a caller that falls behind
 * further gets UNAVAILABLE and starts again. Leaving ends it at once, even while a `next()` is pending.
 */
export class KeyFeed implements AsyncIterableIterator<WatchKeysResponse> {
  #queue: KeyRecord[];
  #isComplete = false;
  #capacity: number;
  #pending: PromiseWithResolvers<IteratorResult<WatchKeysResponse>> | undefined;
  #ended: { readonly error: unknown } | undefined;
  readonly #onEnd: (feed: KeyFeed) => void;

  constructor(start: readonly KeyRecord[], capacity: number, onEnd: (feed: KeyFeed) => void) {
    this.#queue = [...start];
    this.#capacity = capacity + start.length;
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Adds a key that is new or changed. */
  push(record: KeyRecord): void {
    if (this.#ended !== undefined) {
      return;
    }
    if (this.#queue.length >= this.#capacity) {
      this.end(gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the caller reads keys more slowly than they change"));
      return;
    }
    this.#queue.push(record);
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      pending.resolve({ done: false, value: this.#nextMessage() });
    }
  }

  /** Ends the stream, with an error when one is given; keys that were not read are dropped. */
  end(error?: unknown): void {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = { error };
    this.#queue = [];
    const pending = this.#pending;
    this.#pending = undefined;
    this.#onEnd(this);
    if (error === undefined) {
      pending?.resolve({ done: true, value: undefined });
    } else {
      pending?.reject(error);
    }
  }

  next(): Promise<IteratorResult<WatchKeysResponse>> {
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    // The first messages are sent even when there is no key: the caller waits for the one that says complete.
    if (this.#queue.length > 0 || !this.#isComplete) {
      return Promise.resolve({ done: false, value: this.#nextMessage() });
    }
    this.#pending ??= Promise.withResolvers();
    return this.#pending.promise;
  }

  return(): Promise<IteratorResult<WatchKeysResponse>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #nextMessage(): WatchKeysResponse {
    const keys = this.#queue.splice(0, messageSize);
    if (!this.#isComplete) {
      this.#capacity -= keys.length;
      this.#isComplete = this.#queue.length === 0;
    }
    return { $typeName: "penstock.quota.v1.WatchKeysResponse", keys, complete: this.#isComplete };
  }
}
