/** A stream that is opened again whenever it ends. */
export interface Follower {
  /** Stops following; the stream is left. */
  stop(): void;
}

/** How a stream is followed. */
export interface FollowOptions<T> {
  readonly open: () => AsyncIterable<T>;
  readonly onItem: (item: T) => void;
  /** Called when the stream was lost, with what ended it. It is opened again after a pause. */
  readonly onLost: (error: unknown) => void;
  /** Milliseconds between attempts. */
  readonly pauseMs: number;
}

/** Follows a stream for as long as the process runs. */
export function follow<T>(options: FollowOptions<T>): Follower {
  let stopped = false;
  let iterator: AsyncIterator<T> | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function run(): Promise<void> {
    let ended: unknown;
    try {
      iterator = options.open()[Symbol.asyncIterator]();
      for (let result = await iterator.next(); result.done !== true; result = await iterator.next()) {
        options.onItem(result.value);
      }
    } catch (error) {
      ended = error;
    }
    if (!stopped) {
      options.onLost(ended);
      timer = setTimeout(start, options.pauseMs);
    }
  }

  function start(): void {
    // run() handles all its errors.
    void run();
  }

  start();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      const left = iterator?.return?.();
      left?.then(undefined, () => undefined);
    },
  };
}
