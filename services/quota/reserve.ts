import type { Account } from "./budget-account.ts";
import type { RateWindow } from "./rate-window.ts";
import type { RecentSet } from "./recent-set.ts";
import type { Slice } from "./slice.ts";

/** Everything that limits a key. */
export interface KeyLimits {
  readonly keyId: string;
  /** The budgets that a request is held against, from the key's own upwards. */
  accounts: readonly Account[];
  requests: RateWindow | undefined;
  tokens: RateWindow | undefined;
}

/** What a request asks for. Costs are nano-US-dollars. */
export interface Demand {
  readonly requestId: string;
  readonly cost: bigint;
  /** The least hold that is of use. */
  readonly minimum: bigint;
  readonly tokens: number;
}

/** A hold of a running request. */
export interface Hold {
  readonly requestId: string;
  readonly limits: KeyLimits;
  /** What is held of each slice. */
  readonly amount: bigint;
  readonly slices: readonly Slice[];
  /** The lease of the key's own budget; empty without one. */
  readonly leaseId: string;
  readonly tokens: number;
  /** Where the tokens are counted. */
  readonly tokenBucket: number;
  expireMs: number;
}

/** What came of an attempt to reserve. */
export type ReserveOutcome =
  | { readonly kind: "held"; readonly hold: Hold }
  /** Reserved before and already settled. */
  | { readonly kind: "settled" }
  /** One account has to be filled first; the same attempt may succeed afterwards. */
  | { readonly kind: "short"; readonly accountIndex: number }
  | {
      readonly kind: "limited";
      readonly limit: "requests_per_minute" | "tokens_per_minute";
      readonly value: number;
      readonly used: number;
      readonly retryDelayMs: number;
    }
  | { readonly kind: "overloaded" };

/** A cost that replaces a hold. */
export interface SettleDemand {
  readonly requestId: string;
  readonly leaseId: string;
  readonly cost: bigint;
  readonly tokens: number;
}

/** `forward`: the lease is another process's, or gone; nothing was charged here. */
export type SettleOutcome = "settled" | "repeated" | "forward";

/** Settings of the holds. */
export interface ReservationOptions {
  /** How long a hold lasts that is neither settled nor renewed. */
  readonly holdTtlMs: number;
  /** The most holds at a time. */
  readonly maxHolds: number;
  /** Remembers requests that were settled. */
  readonly settled: RecentSet;
}

/**
 * The holds of running requests: decides about them in memory, without waiting. All limits of a request are taken
 * together or none is. Time comes in as an argument, in milliseconds of a clock that does not go back.
 */
export class Reservations {
  readonly #holds = new Map<string, Hold>();
  readonly #options: ReservationOptions;

  constructor(options: ReservationOptions) {
    this.#options = options;
  }

  /** How many holds there are. */
  get size(): number {
    return this.#holds.size;
  }

  /**
   * Tries to hold. `partial` is a bit set of the accounts that have given all they can, so that less than the cost may
   * be held of them. Unless `slicesAreValid`, every slice counts as empty: the store was not heard of for too long.
   */
  reserve(limits: KeyLimits, demand: Demand, partial: number, nowMs: number, slicesAreValid: boolean): ReserveOutcome {
    const earlier = this.#holds.get(demand.requestId);
    if (earlier !== undefined) {
      return { kind: "held", hold: earlier };
    }
    if (this.#options.settled.has(demand.requestId)) {
      return { kind: "settled" };
    }
    const { requests, tokens, accounts } = limits;
    if (requests !== undefined && !requests.fits(1, nowMs)) {
      return refusal("requests_per_minute", requests, 1, nowMs);
    }
    if (tokens !== undefined && !tokens.fits(demand.tokens, nowMs)) {
      return refusal("tokens_per_minute", tokens, demand.tokens, nowMs);
    }
    if (this.#holds.size >= this.#options.maxHolds) {
      return { kind: "overloaded" };
    }
    let amount = demand.cost;
    for (let index = 0; index < accounts.length; index += 1) {
      const slice = accounts[index]?.slice;
      if (slice === undefined || !slicesAreValid) {
        return { kind: "short", accountIndex: index };
      }
      // A free request passes an empty budget.
      if (amount > 0n && slice.available < amount) {
        if ((partial & (1 << index)) === 0 || slice.available < demand.minimum) {
          return { kind: "short", accountIndex: index };
        }
        amount = slice.available;
      }
    }
    const hold = this.#take(limits, demand, amount, nowMs);
    this.#holds.set(demand.requestId, hold);
    return { kind: "held", hold };
  }

  /** Settles a request, once: a hold, or a late charge where the hold has expired. */
  settle(limits: KeyLimits | undefined, demand: SettleDemand, nowMs: number): SettleOutcome {
    const { settled } = this.#options;
    const hold = this.#holds.get(demand.requestId);
    if (hold !== undefined) {
      this.#holds.delete(demand.requestId);
      for (const slice of hold.slices) {
        slice.settle(hold.amount, demand.cost);
      }
      touch(hold.limits, nowMs);
      hold.limits.tokens?.correct(hold.tokenBucket, hold.tokens, demand.tokens, nowMs);
      settled.add(demand.requestId, nowMs);
      return "settled";
    }
    if (settled.has(demand.requestId)) {
      return "repeated";
    }
    if (demand.leaseId === "") {
      limits?.tokens?.add(demand.tokens, nowMs);
      settled.add(demand.requestId, nowMs);
      return "settled";
    }
    if (limits?.accounts[0]?.slice?.leaseId !== demand.leaseId) {
      return "forward";
    }
    for (const account of limits.accounts) {
      account.slice?.settle(0n, demand.cost);
    }
    touch(limits, nowMs);
    limits.tokens?.add(demand.tokens, nowMs);
    settled.add(demand.requestId, nowMs);
    return "settled";
  }

  /** Remembers that a settlement was passed on, so that it is passed on once. */
  markForwarded(requestId: string, nowMs: number): void {
    this.#options.settled.add(requestId, nowMs);
  }

  /** Keeps holds from expiring; unknown ones are ignored. */
  renew(requestIds: readonly string[], nowMs: number): void {
    for (const requestId of requestIds) {
      const hold = this.#holds.get(requestId);
      if (hold !== undefined) {
        hold.expireMs = nowMs + this.#options.holdTtlMs;
        touch(hold.limits, nowMs);
      }
    }
  }

  /** Releases the holds that have expired; returns how many. Their tokens stay counted: they may have been used. */
  expire(nowMs: number): number {
    let expired = 0;
    for (const hold of this.#holds.values()) {
      if (hold.expireMs <= nowMs) {
        this.#holds.delete(hold.requestId);
        for (const slice of hold.slices) {
          slice.release(hold.amount);
        }
        expired += 1;
      }
    }
    return expired;
  }

  #take(limits: KeyLimits, demand: Demand, amount: bigint, nowMs: number): Hold {
    const slices: Slice[] = [];
    for (const account of limits.accounts) {
      if (account.slice !== undefined) {
        account.slice.hold(amount);
        slices.push(account.slice);
      }
      account.lastUseMs = nowMs;
    }
    limits.requests?.add(1, nowMs);
    return {
      requestId: demand.requestId,
      limits,
      amount: slices.length === 0 ? 0n : amount,
      slices,
      leaseId: slices[0]?.leaseId ?? "",
      tokens: demand.tokens,
      tokenBucket: limits.tokens?.add(demand.tokens, nowMs) ?? 0,
      expireMs: nowMs + this.#options.holdTtlMs,
    };
  }
}

function touch(limits: KeyLimits, nowMs: number): void {
  for (const account of limits.accounts) {
    account.lastUseMs = nowMs;
  }
}

function refusal(
  limit: "requests_per_minute" | "tokens_per_minute",
  window: RateWindow,
  units: number,
  nowMs: number,
): ReserveOutcome {
  return {
    kind: "limited",
    limit,
    value: window.limit,
    used: window.used(nowMs),
    retryDelayMs: window.retryDelayMs(units, nowMs),
  };
}
