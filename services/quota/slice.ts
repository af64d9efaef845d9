/**
 * The part of one budget that this process may decide about in memory, backed by one lease in the store.
 *
 * All amounts are nano-US-dollars, and `available + held + spent = granted` after every call. `available` is negative
 * only while requests have cost more than was held for them; the next synchronisation covers that from the budget.
 * Knows neither time nor the store.
 */
export class Slice {
  readonly leaseId: string;
  readonly budgetId: string;
  #granted = 0n;
  #available = 0n;
  #held = 0n;
  #spent = 0n;
  #sequence = 0;
  #dirty = false;
  /** False once the store has confirmed the lease. */
  isNew = true;
  /** True once the store said that the lease was taken away; what happens after that is charged from the ledger. */
  isLost = false;

  constructor(leaseId: string, budgetId: string) {
    this.leaseId = leaseId;
    this.budgetId = budgetId;
  }

  get granted(): bigint {
    return this.#granted;
  }
  get available(): bigint {
    return this.#available;
  }
  get held(): bigint {
    return this.#held;
  }
  get spent(): bigint {
    return this.#spent;
  }
  /** Whether something was held, released or spent since the last call of nextSequence. */
  get isDirty(): boolean {
    return this.#dirty;
  }

  /** The number of the next synchronisation; what changes from now on needs another one. */
  nextSequence(): number {
    this.#dirty = false;
    this.#sequence += 1;
    return this.#sequence;
  }

  /** Says that the last synchronisation may not have arrived. */
  markDirty(): void {
    this.#dirty = true;
  }

  /** Takes over what the store says is granted in all. */
  setGranted(granted: bigint): void {
    this.#available += granted - this.#granted;
    this.#granted = granted;
  }

  /** Gives up what is available, before the store is told, so that nobody can hold it meanwhile. */
  giveUpAvailable(): void {
    if (this.#available > 0n) {
      this.#granted -= this.#available;
      this.#available = 0n;
      this.#dirty = true;
    }
  }

  /** Holds an amount; the caller has checked that it is available. */
  hold(amount: bigint): void {
    this.#available -= amount;
    this.#held += amount;
    this.#dirty = true;
  }

  /** Makes a hold available again. */
  release(amount: bigint): void {
    this.settle(amount, 0n);
  }

  /** Replaces a hold by a cost, which may be more or less. A late charge has no hold: 0. */
  settle(held: bigint, cost: bigint): void {
    this.#available += held - cost;
    this.#held -= held;
    this.#spent += cost;
    this.#dirty = true;
  }
}
