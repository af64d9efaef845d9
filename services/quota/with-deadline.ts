// What took too long goes on unheard.
class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** In how many parts the time is counted. */
const parts = 5;

/**
 * Waits for a promise, and rejects with DeadlineError when it takes longer. Time in which this process was too busy to
 * hear an answer counts as one part of the limit, however long it was: else a burst of requests refuses itself.
 */
export function withDeadline<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = parts;
    const onPart = (): void => {
      left -= 1;
      timer = left > 0 ? setTimeout(onPart, timeoutMs / parts) : undefined;
      if (left === 0) {
        // After what has arrived was read: an answer that is there is not too late.
        setImmediate(() => reject(new DeadlineError(`no answer within ${timeoutMs} ms`)));
      }
    };
    let timer: NodeJS.Timeout | undefined = setTimeout(onPart, timeoutMs / parts);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
