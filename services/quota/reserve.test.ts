import assert from "node:assert/strict";
import { test } from "node:test";
import { Account, type BudgetRule } from "./budget-account.ts";
import type { BudgetCounter, CounterLabel, RateCounter, RequestLimits, SlotCounter } from "./limits/counters.ts";
import { RateWindow } from "./rate-window.ts";
import { createRecentSet } from "./recent-set.ts";
import { type Demand, Reservations } from "./reserve.ts";
import { Slice } from "./slice.ts";

const startMs = 1_000_000;

test("holds the cost of a request once, however often it is asked", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  const first = reserve(reservations, limits, { cost: 60n });
  assert.deepEqual(reserve(reservations, limits, { cost: 60n }), first);
  assert.equal(slice.held, 60n);
  assert.equal(reservations.size, 1);
});

test("replaces a hold by the cost once, be it less or more", () => {
  for (const cost of [0n, 10n, 60n, 90n]) {
    const { reservations, limits, slice } = open({ granted: 100n });
    reserve(reservations, limits, { cost: 60n });
    assert.equal(settle(reservations, limits, { cost }), "settled");
    assert.equal(settle(reservations, limits, { cost }), "repeated");
    assert.deepEqual([slice.held, slice.spent, slice.available], [0n, cost, 100n - cost]);
  }
});

test("is not charged for a request that another process holds for, and keeps nothing for it", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  reserve(reservations, limits, { cost: 60n });
  assert.equal(settle(reservations, limits, { cost: 30n, leaseId: "another" }), "forward");
  assert.deepEqual([slice.held, slice.spent, slice.available, reservations.size], [0n, 0n, 100n, 0]);
});

test("does not hold again for a request that is settled", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  reserve(reservations, limits, { cost: 60n });
  settle(reservations, limits, { cost: 1n });
  assert.deepEqual(reserve(reservations, limits, { cost: 60n }), { kind: "settled" });
  assert.equal(slice.held, 0n);
});

test("says which account is short, and holds nothing of any", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  const team = accountWith(50n);
  limits.budgets.push(counterOf(team));
  assert.deepEqual(reserve(reservations, limits, { cost: 60n }), { kind: "short", budgetIndex: 1 });
  assert.deepEqual([slice.held, team.slice?.held, reservations.size], [0n, 0n, 0]);
  assert.equal(reserve(reservations, limits, { cost: 50n }).kind, "held");
  assert.deepEqual([slice.held, team.slice?.held], [50n, 50n]);
});

test("holds what there is, down to the minimum, of an account that has no more", () => {
  const { reservations, limits, slice } = open({ granted: 40n });
  assert.equal(reserve(reservations, limits, { cost: 60n, minimum: 41n }, 1).kind, "short");
  const outcome = reserve(reservations, limits, { cost: 60n, minimum: 40n }, 1);
  assert.equal(outcome.kind === "held" && outcome.hold.amount, 40n);
  assert.equal(slice.available, 0n);
});

test("admits a free request to a budget that is overdrawn", () => {
  const { reservations, limits, slice } = open({ granted: 10n });
  slice.settle(0n, 50n);
  assert.equal(reserve(reservations, limits, { cost: 0n }).kind, "held");
});

test("calls every slice short while they may not be used", () => {
  const { reservations, limits } = open({ granted: 100n });
  const outcome = reservations.reserve(limits, demand({ cost: 1n }), 0, startMs, false);
  assert.deepEqual(outcome, { kind: "short", budgetIndex: 0 });
});

test("releases a hold after its time, and charges a late settlement all the same, once", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  reserve(reservations, limits, { cost: 60n });
  assert.equal(reservations.expire(startMs + 119_999), 0);
  assert.equal(reservations.expire(startMs + 120_000), 1);
  assert.deepEqual([slice.held, slice.available, reservations.size], [0n, 100n, 0]);
  assert.equal(settle(reservations, limits, { cost: 30n }), "settled");
  assert.equal(settle(reservations, limits, { cost: 30n }), "repeated");
  assert.deepEqual([slice.spent, slice.available], [30n, 70n]);
});

test("keeps a hold that is renewed", () => {
  const { reservations, limits } = open({ granted: 100n });
  reserve(reservations, limits, { cost: 60n });
  reservations.renew(["request", "unknown"], startMs + 100_000);
  assert.equal(reservations.expire(startMs + 219_999), 0);
  assert.equal(reservations.expire(startMs + 220_000), 1);
});

test("passes on what belongs to a lease that it does not have, and charges nothing", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  assert.equal(settle(reservations, limits, { cost: 30n, leaseId: "another" }), "forward");
  assert.equal(settle(reservations, undefined, { cost: 30n, leaseId: "another" }), "forward");
  assert.equal(slice.spent, 0n);
});

test("refuses what is beyond a rate limit and counts nothing of it anywhere", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  const requests = rateOf("requests", 1);
  const tokens = rateOf("tokens", 10);
  limits.rates.push(requests, tokens);
  assert.equal(reserve(reservations, limits, { tokens: 8 }).kind, "held");
  const refused = reserve(reservations, limits, { requestId: "second", tokens: 1 });
  assert.deepEqual(refused, {
    kind: "limited",
    limit: "requests_per_minute",
    label: keyLabel,
    value: 1,
    used: 1,
    retryDelayMs: 61_000,
  });
  requests.window.limit = 5;
  assert.equal(reserve(reservations, limits, { requestId: "third", tokens: 3 }).kind, "limited");
  assert.deepEqual([slice.held, requests.window.used(startMs), tokens.window.used(startMs)], [1n, 1, 8]);
});

test("counts the tokens that were really used", () => {
  const { reservations, limits } = open({ granted: 100n });
  const tokens = rateOf("tokens", 10);
  limits.rates.push(tokens);
  reserve(reservations, limits, { tokens: 8 });
  settle(reservations, limits, { tokens: 2 });
  assert.equal(tokens.window.used(startMs), 2);
  assert.equal(reserve(reservations, limits, { requestId: "second", tokens: 8 }).kind, "held");
});

test("lets so many requests run at a time, whatever becomes of them", () => {
  const { reservations, limits } = open({ granted: 100n });
  limits.slots.push({ id: "slot", label: keyLabel, total: 2, limit: 2 });
  reserve(reservations, limits, { requestId: "a" });
  reserve(reservations, limits, { requestId: "b" });
  const refused = { kind: "limited", limit: "concurrency", label: keyLabel, value: 2, used: 2, retryDelayMs: 1_000 };
  assert.deepEqual(reserve(reservations, limits, { requestId: "c" }), refused);
  settle(reservations, limits, { requestId: "a" });
  assert.equal(reserve(reservations, limits, { requestId: "c" }).kind, "held");
  assert.deepEqual(reserve(reservations, limits, { requestId: "d" }), refused);
  reservations.expire(startMs + 120_000);
  assert.equal(reserve(reservations, limits, { requestId: "d" }).kind, "held");
});

test("charges the budget of a provider with what was spent there alone", () => {
  const { reservations, limits, slice } = open({ granted: 100n });
  const openai = accountWith(100n, { limitNanosUsd: 100n, provider: "openai" });
  limits.budgets.push(counterOf(openai));
  reserve(reservations, limits, { cost: 60n });
  const demand = { requestId: "request", leaseIds: ["lease"], cost: 50n, providerCosts: { openai: 20n }, tokens: 0 };
  assert.equal(reservations.settle(limits, demand, startMs), "settled");
  assert.deepEqual([slice.spent, openai.slice?.spent], [50n, 20n]);
});

test("holds no more requests than it has room for", () => {
  const { reservations, limits } = open({ granted: 100n, maxHolds: 1 });
  assert.equal(reserve(reservations, limits, {}).kind, "held");
  assert.deepEqual(reserve(reservations, limits, { requestId: "second" }), { kind: "overloaded" });
});

test("remembers settled requests for the time it promises, and no more than it may", () => {
  const recent = createRecentSet({ ttlMs: 100, capacity: 10 });
  recent.add("a", 0);
  recent.add("b", 99);
  recent.add("c", 150);
  assert.deepEqual([recent.has("a"), recent.has("b"), recent.has("c")], [true, true, true]);
  recent.add("d", 250);
  assert.deepEqual([recent.has("a"), recent.has("b"), recent.has("c")], [false, false, true]);
  for (let index = 0; index < 12; index += 1) {
    recent.add(`more ${index}`, 251);
  }
  assert.equal(recent.has("d"), false);
});

interface Settings {
  readonly requestId?: string;
  readonly cost?: bigint;
  readonly minimum?: bigint;
  readonly tokens?: number;
  readonly leaseId?: string;
}

function open({ granted, maxHolds = 100 }: { readonly granted: bigint; readonly maxHolds?: number }) {
  const account = accountWith(granted);
  const limits = { budgets: [counterOf(account)], rates: [] as RateCounter[], slots: [] as SlotCounter[] };
  const settled = createRecentSet({ ttlMs: 600_000, capacity: 100 });
  const { slice } = account;
  assert.ok(slice !== undefined);
  const findSlice = (leaseId: string) => (leaseId === slice.leaseId ? { slice, provider: undefined } : undefined);
  return { reservations: new Reservations({ holdTtlMs: 120_000, maxHolds, settled, findSlice }), limits, slice };
}

const keyLabel: CounterLabel = { limitId: "", scope: "key", tag: "", value: "key" };

function counterOf(account: Account): BudgetCounter {
  return { label: keyLabel, account, limitNanosUsd: 1_000n, window: "lifetime", endMs: Number.POSITIVE_INFINITY };
}

function rateOf(unit: RateCounter["unit"], limit: number): RateCounter {
  return { label: keyLabel, unit, total: limit, window: new RateWindow(limit) };
}

function accountWith(granted: bigint, rule?: BudgetRule): Account {
  const account = new Account("key:key", rule);
  account.slice = new Slice("lease", "key:key");
  account.slice.setGranted(granted);
  return account;
}

function demand(settings: Settings): Demand {
  const cost = settings.cost ?? 1n;
  return {
    requestId: settings.requestId ?? "request",
    cost,
    minimum: settings.minimum ?? cost,
    tokens: settings.tokens ?? 1,
  };
}

function reserve(reservations: Reservations, limits: RequestLimits, settings: Settings, partial = 0) {
  return reservations.reserve(limits, demand(settings), partial, startMs, true);
}

function settle(reservations: Reservations, limits: RequestLimits | undefined, settings: Settings) {
  const { requestId = "request", cost = 0n, tokens = 0, leaseId = "lease" } = settings;
  return reservations.settle(limits, { requestId, leaseIds: [leaseId], cost, providerCosts: {}, tokens }, startMs);
}
