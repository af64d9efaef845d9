import type { AnyMessage } from "./message-of.ts";

type Result = IteratorResult<AnyMessage>;

/** A stream that is still being opened: interceptors may take their time. Leaving it works meanwhile too. */
export class OpeningStream implements AsyncIterator<AnyMessage> {
  readonly #opened: Promise<AsyncIterator<AnyMessage>>;
  #left = false;

  constructor(opening: Promise<AsyncIterable<unknown>>) {
    this.#opened = opening.then((messages) => {
      // Interceptors pass messages of the method's output type on, or make such.
      const iterator = messages[Symbol.asyncIterator]() as AsyncIterator<AnyMessage>;
      if (this.#left) {
        leave(iterator);
      }
      return iterator;
    });
    // The first next() tells why it could not be opened; a caller that has left does not want to know.
    this.#opened.catch(() => undefined);
  }

  async next(): Promise<Result> {
    const iterator = await this.#opened;
    const result = this.#left ? undefined : await iterator.next();
    return result === undefined || this.#left ? { done: true, value: undefined } : result;
  }

  return(): Promise<Result> {
    if (!this.#left) {
      this.#left = true;
      this.#opened.then(leave, () => undefined);
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}

function leave(iterator: AsyncIterator<AnyMessage>): void {
  iterator.return?.().then(undefined, () => undefined);
}
