/** Work that is done again and again. */
export interface Loop {
  /** Ends the loop and resolves when the run that is under way has ended. */
  stop(): Promise<void>;
}

/** Runs work, waits for its end and the interval, and so on. A run that fails is reported, and the next one follows. */
export function startLoop(
  work: () => Promise<unknown>,
  options: { readonly intervalMs: number; readonly onError: (error: unknown) => void },
): Loop {
  let isStopped = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const schedule = (): void => {
    if (!isStopped) {
      timer = setTimeout(() => {
        running = work().then(undefined, options.onError).then(schedule);
      }, options.intervalMs);
    }
  };
  schedule();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
      return running;
    },
  };
}
