import assert from "node:assert/strict";
import { test } from "node:test";
import { Account } from "../budget-account.ts";
import { LimitBook } from "./limit-book.ts";
import type { LimitFacts } from "./limit-rule.ts";
import { limitsConfig, rulesOfConfig } from "./limits-config.ts";

const facts: LimitFacts = {
  organizationId: "o",
  teamId: "t",
  keyId: "k",
  userId: "",
  tags: { env: "prod" },
  model: "gpt",
  providers: ["openai", "azure"],
};

function open(entries: readonly object[]) {
  const clock = { nowMs: Date.parse("2026-11-22T10:00:00Z") };
  const accounts = new Map<string, Account>();
  const book = new LimitBook({
    wallClock: () => clock.nowMs,
    account(budgetId, rule) {
      const account = accounts.get(budgetId) ?? new Account(budgetId, rule);
      accounts.set(budgetId, account);
      return account;
    },
  });
  book.setRules(rulesOfConfig(limitsConfig.parse(entries)));
  return { book, clock, accounts };
}

test("finds the budgets of all scopes that a request is in, one for each value", () => {
  const { book } = open([
    { scope: { organization: "each" }, budget: "$10" },
    { scope: { team: "t" }, budget: "$5", window: "month", zone: "Europe/Berlin" },
    { scope: { team: "other" }, budget: "$1" },
    { scope: { user: "each" }, budget: "$1" },
    { scope: { tag: "env=prod" }, budget: "$2" },
    { scope: { tag: "env=test" }, budget: "$2" },
    { scope: { model: "gpt" }, budget: "$3" },
    { scope: { provider: "each" }, budget: "$4" },
  ]);
  const ofKey = book.ofKey(facts);
  assert.deepEqual(
    ofKey.limits.budgets.map(({ account, limitNanosUsd }) => [account.budgetId, limitNanosUsd]),
    [
      ["limit:organization=each/budget/lifetime:o", 10_000_000_000n],
      ["limit:team=t/budget/month/Europe/Berlin:t:2026-11-01T00:00+01:00", 5_000_000_000n],
    ],
  );
  assert.equal(ofKey.untilMs, Date.parse("2026-11-30T23:00:00Z"));
  assert.ok(book.dependsOnRequest && book.budgetsDependOnRequest);
  assert.deepEqual(
    book.ofRequest(facts).budgets.map(({ account }) => [account.budgetId, account.provider]),
    [
      ["limit:tag.env=prod/budget/lifetime:prod", undefined],
      ["limit:model=gpt/budget/lifetime:gpt", undefined],
      ["limit:provider=each/budget/lifetime:openai", "openai"],
      ["limit:provider=each/budget/lifetime:azure", "azure"],
    ],
  );
});

test("a new window has a budget of its own", () => {
  const { book, clock, accounts } = open([{ scope: { key: "each" }, budget: "$1", window: "hour" }]);
  book.ofKey(facts);
  clock.nowMs += 3_600_000;
  book.ofKey(facts);
  assert.deepEqual(
    [...accounts.keys()],
    [
      "limit:key=each/budget/hour/UTC:k:2026-11-22T10:00+00:00",
      "limit:key=each/budget/hour/UTC:k:2026-11-22T11:00+00:00",
    ],
  );
});

test("keys of a team share the counters of its rates, and other teams have their own", () => {
  const { book } = open([{ scope: { team: "each" }, rpm: 10, tpm: "1k", concurrency: 3 }]);
  const [a, b, c] = [facts, { ...facts, keyId: "k2" }, { ...facts, teamId: "t2" }].map(
    (each) => book.ofKey(each).limits,
  );
  assert.equal(a?.rates[0]?.window, b?.rates[0]?.window);
  assert.notEqual(a?.rates[0]?.window, c?.rates[0]?.window);
  assert.deepEqual(
    a?.rates.map(({ unit, window }) => [unit, window.limit]),
    [
      ["requests", 10],
      ["tokens", 1_000],
    ],
  );
  assert.deepEqual([a?.slots[0]?.id, c?.slots[0]?.id, a?.slots[0]?.limit], [b?.slots[0]?.id, c?.slots[0]?.id, 3]);
  assert.notEqual(a?.slots[0]?.id, c?.slots[0]?.id);
});

test("processes share a rate among them, each with at least one", () => {
  const { book } = open([{ scope: { team: "each" }, rpm: 7, concurrency: 1 }]);
  const shares = [0, 1, 2].map((rank) => {
    book.setShare({ rank, processes: 3 });
    const { rates, slots } = book.ofKey(facts).limits;
    return [rates[0]?.window.limit, slots[0]?.limit];
  });
  assert.deepEqual(shares, [
    [3, 1],
    [2, 1],
    [2, 1],
  ]);
});

test("counters go on when rules are replaced by the same with other amounts", () => {
  const { book } = open([{ scope: { team: "each" }, rpm: 7 }]);
  const before = book.ofKey(facts).limits.rates[0];
  const { generation } = book;
  book.setRules(rulesOfConfig(limitsConfig.parse([{ scope: { team: "each" }, rpm: 9 }])));
  const after = book.ofKey(facts).limits.rates[0];
  assert.equal(after?.window, before?.window);
  assert.equal(after?.window.limit, 9);
  assert.ok(book.generation > generation);
});

test("the configuration refuses what limits nothing or is no scope", () => {
  for (const entry of [
    { scope: { team: "each" } },
    { scope: { planet: "each" }, rpm: 1 },
    { scope: { tag: "env" }, rpm: 1 },
    { scope: { team: "a", key: "b" }, rpm: 1 },
    { scope: { team: "each" }, budget: "$1", window: "month", zone: "Mars/Base" },
    { scope: { team: "each" }, budget: "5" },
  ]) {
    assert.equal(limitsConfig.safeParse([entry]).success, false, JSON.stringify(entry));
  }
});
