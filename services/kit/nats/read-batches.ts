/**
 * Groups what an iterator gives: a batch ends when it is full, `delayMs` after its first item, or when the iterator
 * ends. Takes one item ahead, no more, so that a slow reader slows the source. That item goes to `leave` when the
 * reader stops early.
 */
export async function* readBatches<T>(
  source: AsyncIterator<T>,
  options: { readonly size: number; readonly delayMs: number; readonly leave: (item: T) => void },
): AsyncGenerator<readonly T[], void, void> {
  const take = (): Promise<IteratorResult<T>> => {
    const result = source.next();
    // It may fail while the reader is busy with the batch before it; that is found when it is awaited below.
    result.catch(() => undefined);
    return result;
  };
  let next = take();
  let ended = false;
  try {
    for (;;) {
      const batch = await nextBatch();
      if (batch.length > 0) {
        yield batch;
      }
      if (ended) {
        return;
      }
    }
  } finally {
    if (!ended) {
      void next.then(
        (result) => (result.done === true ? undefined : options.leave(result.value)),
        () => undefined,
      );
    }
  }

  async function nextBatch(): Promise<readonly T[]> {
    const first = await next;
    if (first.done === true) {
      ended = true;
      return [];
    }
    const batch: T[] = [first.value];
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), options.delayMs);
    next = take();
    while (batch.length < options.size) {
      const result = await Promise.race([next, late.promise]);
      if (result === "late") {
        break;
      }
      if (result.done === true) {
        ended = true;
        break;
      }
      batch.push(result.value);
      next = take();
    }
    clearTimeout(timer);
    return batch;
  }
}
