import type { Account } from "../budget-account.ts";
import type { RateWindow } from "../rate-window.ts";
import type { BudgetWindow, ScopeKind } from "./limit-rule.ts";

/** What a counter counts, in words for whoever is refused by it. */
export interface CounterLabel {
  readonly limitId: string;
  readonly scope: ScopeKind;
  /** The name of the tag; empty for other kinds. */
  readonly tag: string;
  /** The id or value that is limited. */
  readonly value: string;
}

/** Names a counter for people: `team search`, `tag project=blue`. */
export function nameOfCounter({ scope, tag, value }: CounterLabel): string {
  return `${scope} ${tag === "" ? "" : `${tag}=`}${value}`;
}

/** A budget that a request is held against. */
export interface BudgetCounter {
  readonly label: CounterLabel;
  readonly account: Account;
  /** What it allows in all, in nano-US-dollars. */
  readonly limitNanosUsd: bigint;
  readonly window: BudgetWindow;
  /** When the window ends, in milliseconds since 1970; Infinity for a lifetime. */
  readonly endMs: number;
}

/** Requests or tokens a minute. */
export interface RateCounter {
  readonly label: CounterLabel;
  readonly unit: "requests" | "tokens";
  /** What all processes together allow; the window has this process' share of it. */
  total: number;
  readonly window: RateWindow;
}

/** Requests that run at a time. How many do is known to the reservations, by the counter's id. */
export interface SlotCounter {
  readonly id: string;
  readonly label: CounterLabel;
  /** What all processes together allow. */
  readonly total: number;
  /** This process' share of it. */
  readonly limit: number;
}

/** Everything that limits a request. */
export interface RequestLimits {
  /** From the narrowest scope upwards. */
  readonly budgets: readonly BudgetCounter[];
  readonly rates: readonly RateCounter[];
  readonly slots: readonly SlotCounter[];
}
