import type { BudgetCounter, CounterLabel, RateCounter, RequestLimits, SlotCounter } from "./limits/counters.ts";
import type { RecentSet } from "./recent-set.ts";
import type { Slice } from "./slice.ts";

/** What a request asks for. Costs are nano-US-dollars. */
export interface Demand {
  readonly requestId: string;
  readonly cost: bigint;
  /** The least hold that is of use. */
  readonly minimum: bigint;
  readonly tokens: number;
}

/** What is held of one slice. */
export interface HeldPart {
  readonly slice: Slice;
  readonly counter: BudgetCounter;
}

/** A hold of a running request. */
export interface Hold {
  readonly requestId: string;
  readonly limits: RequestLimits;
  /** What is held of each slice. */
  amount: bigint;
  readonly parts: readonly HeldPart[];
  readonly tokens: number;
  /** Where the tokens are counted, in the order of `limits.rates`. */
  readonly buckets: readonly number[];
  expireMs: number;
}

/** Which limit refused a request, how much it allows, and how much of that was used. */
export interface Refusal {
  readonly kind: "limited";
  readonly limit: "requests_per_minute" | "tokens_per_minute" | "concurrency";
  readonly label: CounterLabel;
  readonly value: number;
  readonly used: number;
  /** Infinity when waiting does not help. */
  readonly retryDelayMs: number;
}

/** What came of an attempt to reserve. */
export type ReserveOutcome =
  | { readonly kind: "held"; readonly hold: Hold }
  /** Reserved before and already settled. */
  | { readonly kind: "settled" }
  /** One budget has to be filled first; the same attempt may succeed afterwards. */
  | { readonly kind: "short"; readonly budgetIndex: number }
  | Refusal
  | { readonly kind: "overloaded" };

/** What came of an attempt to hold more for a request that runs. */
export type ExtendOutcome =
  | { readonly kind: "held"; readonly hold: Hold }
  | { readonly kind: "short"; readonly budgetIndex: number; readonly hold: Hold }
  /** The hold has expired, was settled, or is another process'. */
  | { readonly kind: "unknown" };

/** A cost that replaces a hold. Costs are nano-US-dollars. */
export interface SettleDemand {
  readonly requestId: string;
  readonly leaseIds: readonly string[];
  readonly cost: bigint;
  /** What each provider's attempts cost, for the budgets of providers; together at most `cost`. */
  readonly providerCosts: Readonly<Record<string, bigint>>;
  readonly tokens: number;
}

/** `forward`: the leases are another process's, or gone; nothing was charged here. */
export type SettleOutcome = "settled" | "repeated" | "forward";

/** Settings of the holds. */
export interface ReservationOptions {
  /** How long a hold lasts that is neither settled nor renewed. */
  readonly holdTtlMs: number;
  /** The most holds at a time. */
  readonly maxHolds: number;
  /** Remembers requests that were settled. */
  readonly settled: RecentSet;
  /** The slice of a lease of this process, with what it is for; undefined when it has none of that name. */
  readonly findSlice: (leaseId: string) => { readonly slice: Slice; readonly provider: string | undefined } | undefined;
}

/** How long a caller is told to wait for one of the requests that run to end. */
const slotRetryMs = 1_000;

/**
 * The holds of running requests: decides about them in memory, without waiting. All limits of a request are taken
 * together or none is. Time comes in as an argument, in milliseconds of a clock that does not go back.
 */
export class Reservations {
  readonly #holds = new Map<string, Hold>();
  /** How many requests run under each counter of slots; none is not there. */
  readonly #running = new Map<string, number>();
  readonly #options: ReservationOptions;

  constructor(options: ReservationOptions) {
    this.#options = options;
  }

  /** How many holds there are. */
  get size(): number {
    return this.#holds.size;
  }

  /**
   * Tries to hold. `partial` is a bit set of the budgets that have given all they can, so that less than the cost may be
   * held of them. Unless `slicesAreValid`, every slice counts as empty: the store was not heard of for too long.
   */
  reserve(
    limits: RequestLimits,
    demand: Demand,
    partial: number,
    nowMs: number,
    slicesAreValid: boolean,
  ): ReserveOutcome {
    const earlier = this.#holds.get(demand.requestId);
    if (earlier !== undefined) {
      return { kind: "held", hold: earlier };
    }
    if (this.#options.settled.has(demand.requestId)) {
      return { kind: "settled" };
    }
    for (const rate of limits.rates) {
      const units = unitsOf(rate, demand.tokens);
      if (!rate.window.fits(units, nowMs)) {
        return rateRefusal(rate, units, nowMs);
      }
    }
    for (const slot of limits.slots) {
      const running = this.#running.get(slot.id) ?? 0;
      if (running >= slot.limit) {
        return slotRefusal(slot, running);
      }
    }
    if (this.#holds.size >= this.#options.maxHolds) {
      return { kind: "overloaded" };
    }
    let amount = demand.cost;
    for (const [index, { account }] of limits.budgets.entries()) {
      const { slice } = account;
      if (slice === undefined || !slicesAreValid) {
        return { kind: "short", budgetIndex: index };
      }
      // A free request passes an empty budget.
      if (amount > 0n && slice.available < amount) {
        if ((partial & (1 << index)) === 0 || slice.available < demand.minimum) {
          return { kind: "short", budgetIndex: index };
        }
        amount = slice.available;
      }
    }
    const hold = this.#take(limits, demand, amount, nowMs);
    this.#holds.set(demand.requestId, hold);
    return { kind: "held", hold };
  }

  /** Tries to make a hold as large as `total`: in every budget, or in none. */
  extend(requestId: string, total: bigint, nowMs: number, slicesAreValid: boolean): ExtendOutcome {
    const hold = this.#holds.get(requestId);
    if (hold === undefined || hold.parts.some(({ slice }) => slice.isLost)) {
      return { kind: "unknown" };
    }
    const more = total - hold.amount;
    if (more <= 0n || hold.parts.length === 0) {
      return { kind: "held", hold };
    }
    const short = hold.parts.findIndex(({ slice }) => !slicesAreValid || slice.available < more);
    if (short >= 0) {
      return { kind: "short", budgetIndex: short, hold };
    }
    for (const { slice } of hold.parts) {
      slice.hold(more);
    }
    hold.amount = total;
    this.#renew(hold, nowMs);
    return { kind: "held", hold };
  }

  /** Settles a request, once: a hold, or a late charge where the hold has expired. */
  settle(limits: RequestLimits | undefined, demand: SettleDemand, nowMs: number): SettleOutcome {
    const { settled } = this.#options;
    const hold = this.#holds.get(demand.requestId);
    if (hold !== undefined && !isTakenFrom(hold, demand.leaseIds)) {
      // The answer to its reservation here was never heard, and another process holds for it: that one is charged.
      this.#end(hold);
      for (const { slice } of hold.parts) {
        slice.release(hold.amount);
      }
    } else if (hold !== undefined) {
      this.#end(hold);
      for (const { slice, counter } of hold.parts) {
        slice.settle(hold.amount, costAt(counter.account.provider, demand));
        counter.account.lastUseMs = nowMs;
      }
      for (const [index, { unit, window }] of hold.limits.rates.entries()) {
        if (unit === "tokens") {
          window.correct(hold.buckets[index] ?? 0, hold.tokens, demand.tokens, nowMs);
        }
      }
      settled.add(demand.requestId, nowMs);
      return "settled";
    }
    if (settled.has(demand.requestId)) {
      return "repeated";
    }
    const found = demand.leaseIds.flatMap((leaseId) => this.#options.findSlice(leaseId) ?? []);
    if (demand.leaseIds.length > 0 && found.length === 0) {
      return "forward";
    }
    for (const { slice, provider } of found) {
      slice.settle(0n, costAt(provider, demand));
    }
    for (const { unit, window } of limits?.rates ?? []) {
      if (unit === "tokens") {
        window.add(demand.tokens, nowMs);
      }
    }
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
        this.#renew(hold, nowMs);
      }
    }
  }

  /** Releases the holds that have expired; returns how many. Their tokens stay counted: they may have been used. */
  expire(nowMs: number): number {
    let expired = 0;
    for (const hold of this.#holds.values()) {
      if (hold.expireMs <= nowMs) {
        this.#end(hold);
        for (const { slice } of hold.parts) {
          slice.release(hold.amount);
        }
        expired += 1;
      }
    }
    return expired;
  }

  /** How many requests run under a limit on concurrency, by value. */
  runningOf(limitId: string): readonly { readonly value: string; readonly running: number }[] {
    const prefix = `${limitId}\n`;
    return [...this.#running]
      .filter(([id]) => id.startsWith(prefix))
      .map(([id, running]) => ({ value: id.slice(prefix.length), running }));
  }

  #take(limits: RequestLimits, demand: Demand, amount: bigint, nowMs: number): Hold {
    const parts: HeldPart[] = [];
    for (const counter of limits.budgets) {
      const { account } = counter;
      if (account.slice !== undefined) {
        account.slice.hold(amount);
        parts.push({ slice: account.slice, counter });
      }
      account.lastUseMs = nowMs;
    }
    for (const { id } of limits.slots) {
      this.#running.set(id, (this.#running.get(id) ?? 0) + 1);
    }
    return {
      requestId: demand.requestId,
      limits,
      amount: parts.length === 0 ? 0n : amount,
      parts,
      tokens: demand.tokens,
      buckets: limits.rates.map((rate) => rate.window.add(unitsOf(rate, demand.tokens), nowMs)),
      expireMs: nowMs + this.#options.holdTtlMs,
    };
  }

  #renew(hold: Hold, nowMs: number): void {
    hold.expireMs = nowMs + this.#options.holdTtlMs;
    for (const { counter } of hold.parts) {
      counter.account.lastUseMs = nowMs;
    }
  }

  /** Forgets a hold and the slots that it takes. */
  #end(hold: Hold): void {
    this.#holds.delete(hold.requestId);
    for (const { id } of hold.limits.slots) {
      const running = (this.#running.get(id) ?? 0) - 1;
      if (running > 0) {
        this.#running.set(id, running);
      } else {
        this.#running.delete(id);
      }
    }
  }
}

/** Whether a settlement that names these leases is one of this hold. */
function isTakenFrom(hold: Hold, leaseIds: readonly string[]): boolean {
  return leaseIds.length === 0 || hold.parts.some(({ slice }) => leaseIds.includes(slice.leaseId));
}

function unitsOf(rate: RateCounter, tokens: number): number {
  return rate.unit === "requests" ? 1 : tokens;
}

function costAt(provider: string | undefined, demand: SettleDemand): bigint {
  return provider === undefined ? demand.cost : (demand.providerCosts[provider] ?? 0n);
}

/** What all processes have used together, as far as this one can tell: as much of the whole as it has of its share. */
function ofAll(used: number, share: number, total: number): number {
  return share === 0 ? used : Math.round((used * total) / share);
}

function rateRefusal({ label, unit, total, window }: RateCounter, units: number, nowMs: number): Refusal {
  return {
    kind: "limited",
    limit: unit === "requests" ? "requests_per_minute" : "tokens_per_minute",
    label,
    value: total,
    used: ofAll(window.used(nowMs), window.limit, total),
    retryDelayMs: window.retryDelayMs(units, nowMs),
  };
}

function slotRefusal({ label, total, limit }: SlotCounter, running: number): Refusal {
  return {
    kind: "limited",
    limit: "concurrency",
    label,
    value: total,
    used: ofAll(running, limit, total),
    retryDelayMs: limit === 0 ? Number.POSITIVE_INFINITY : slotRetryMs,
  };
}
