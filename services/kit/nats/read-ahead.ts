/** An iterator that has taken what its source gave. */
export interface ReadAhead<T> extends AsyncIterator<T> {
  /** Takes out all that was given and nobody has asked for. */
  rest(): readonly T[];
}

/**
 * Takes what a source gives when it gives it, and keeps it for the reader. For sources that give a bounded number of
 * items and forget, at their end, those that nobody has taken: the NATS client's are such.
 */
export function readAhead<T>(source: AsyncIterator<T>): ReadAhead<T> {
  const items: T[] = [];
  let failure: { readonly error: unknown } | undefined;
  let ended = false;
  let wake: (() => void) | undefined;

  async function pump(): Promise<void> {
    try {
      for (let result = await source.next(); result.done !== true; result = await source.next()) {
        items.push(result.value);
        wake?.();
      }
    } catch (error) {
      failure = { error };
    }
    ended = true;
    wake?.();
  }
  // Keeps its error for the reader.
  void pump();

  return {
    async next() {
      while (items.length === 0 && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const [value] = items.splice(0, 1);
      if (value !== undefined) {
        return { done: false, value };
      }
      if (failure !== undefined) {
        throw failure.error;
      }
      return { done: true, value: undefined };
    },
    rest: () => items.splice(0),
  };
}
