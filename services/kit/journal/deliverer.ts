/** Something to deliver. */
export interface JournalItem<T> {
  /** Its number in the journal. */
  readonly sequence: bigint;
  readonly value: T;
}

/** How delivery goes. */
export type DelivererState =
  /** The last batch was delivered, or none was tried yet. */
  | { readonly kind: "delivering" }
  /** The last batch failed; it is tried again after `retryInMs`. */
  | { readonly kind: "failing"; readonly error: unknown; readonly attempts: number; readonly retryInMs: number };

/** Settings of a deliverer. */
export interface DelivererOptions<T> {
  /** Delivers a batch, or rejects when any of it may not have arrived. Must be idempotent: a batch may come again. */
  readonly deliver: (batch: readonly JournalItem<T>[]) => Promise<void>;
  /** Called after each batch, before the next is begun. */
  readonly onDelivered?: (batch: readonly JournalItem<T>[]) => void;
  /** Called when delivery begins to fail, on each failure, and when it works again. */
  readonly onState?: (state: DelivererState) => void;
  /** The most items in a batch. 500 unless given. */
  readonly maxBatch?: number;
  /** How long an item waits for others to share its batch, in ms. 50 unless given. */
  readonly maxDelayMs?: number;
  /** When `full` becomes true. 20 000 unless given. */
  readonly maxInMemory?: number;
  /** The wait after the first failure, in ms; doubled each time, with jitter. 100 unless given. */
  readonly minBackOffMs?: number;
  /** The longest wait between tries, in ms. 5000 unless given. */
  readonly maxBackOffMs?: number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** A queue in memory whose items are delivered in order, one batch at a time, until each is delivered. */
export interface Deliverer<T> {
  /** Takes an item; false, and nothing is taken, when stopped or at twice the size where `full` becomes true. */
  push(item: JournalItem<T>): boolean;
  /** Items not delivered. */
  readonly size: number;
  /** Whether no new work should be begun. What is under way may still be pushed. */
  readonly full: boolean;
  /** Delivers without waiting for full batches; resolves to whether nothing is left, after `timeoutMs` at the latest. */
  drain(timeoutMs: number): Promise<boolean>;
  /** Begins no further batch. What is left stays in the journal. */
  stop(): void;
}

/** Makes a deliverer. It starts with the first item. */
export function createDeliverer<T>(options: DelivererOptions<T>): Deliverer<T> {
  return new QueueDeliverer(options);
}

class QueueDeliverer<T> implements Deliverer<T> {
  readonly #options: DelivererOptions<T>;
  readonly #maxBatch: number;
  readonly #maxInMemory: number;
  /** Delivered items are dropped from the front in bulk: shifting them one by one would copy the queue each time. */
  #items: JournalItem<T>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #failures = 0;
  #stopped = false;
  #draining = false;
  #idle: (() => void)[] = [];

  constructor(options: DelivererOptions<T>) {
    this.#options = options;
    this.#maxBatch = options.maxBatch ?? 500;
    this.#maxInMemory = options.maxInMemory ?? 20_000;
  }

  get size(): number {
    return this.#items.length;
  }

  get full(): boolean {
    return this.#items.length >= this.#maxInMemory;
  }

  push(item: JournalItem<T>): boolean {
    if (this.#stopped || this.#items.length >= 2 * this.#maxInMemory) {
      return false;
    }
    this.#items.push(item);
    this.#schedule();
    return true;
  }

  async drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true;
    if (this.#items.length > 0 && !this.#stopped) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle.push(resolve);
      const timer = setTimeout(resolve, timeoutMs);
      if (!this.#busy) {
        // Also when it waits after a failure: there may be no later.
        this.#begin();
      }
      await promise;
      clearTimeout(timer);
    }
    this.#draining = false;
    return this.#items.length === 0;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wakeIdle();
  }

  #schedule(): void {
    if (this.#busy || this.#stopped || this.#items.length === 0) {
      return;
    }
    if (this.#failures > 0) {
      // The timer of the back-off is set.
      return;
    }
    if (this.#items.length >= this.#maxBatch || this.#draining) {
      this.#begin();
    } else {
      this.#timer ??= setTimeout(() => this.#begin(), this.#options.maxDelayMs ?? 50);
    }
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#busy = true;
    // #send handles every failure of its own.
    void this.#send(this.#items.slice(0, this.#maxBatch));
  }

  async #send(batch: readonly JournalItem<T>[]): Promise<void> {
    try {
      await this.#options.deliver(batch);
    } catch (error) {
      this.#busy = false;
      this.#retry(error);
      return;
    }
    this.#busy = false;
    this.#items = this.#items.slice(batch.length);
    if (this.#failures > 0) {
      this.#failures = 0;
      this.#options.onState?.({ kind: "delivering" });
    }
    this.#options.onDelivered?.(batch);
    if (this.#items.length === 0) {
      this.#wakeIdle();
    }
    this.#schedule();
  }

  #retry(error: unknown): void {
    const ceiling = Math.min(
      this.#options.maxBackOffMs ?? 5_000,
      (this.#options.minBackOffMs ?? 100) * 2 ** Math.min(this.#failures, 30),
    );
    const retryInMs = ceiling * (0.5 + (this.#options.random ?? Math.random)() / 2);
    this.#failures += 1;
    this.#options.onState?.({ kind: "failing", error, attempts: this.#failures, retryInMs });
    if (!this.#stopped) {
      this.#timer = setTimeout(() => this.#begin(), retryInMs);
    }
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const wake of idle) {
      wake();
    }
  }
}
