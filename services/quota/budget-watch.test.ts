import assert from "node:assert/strict";
import { test } from "node:test";
import { type AlertEvent, AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { Account, type BudgetWarning } from "./budget-account.ts";
import { createBudgetWatch } from "./budget-watch.ts";

const warning: BudgetWarning = {
  percents: [50, 80, 100],
  label: { limitId: "limit", scope: "team", tag: "", value: "search" },
  window: "month",
  organizationId: "acme",
};

function open(raise: (alerts: AlertEvent[]) => Promise<unknown> = async () => undefined) {
  const raised: AlertEvent[] = [];
  const watch = createBudgetWatch({
    raise: async (alerts) => {
      await raise(alerts);
      raised.push(...alerts);
    },
    wallClock: () => 1_000,
  });
  return { watch, raised };
}

function newAccount(budgetId = "limit:limit:search:2026-11", limitNanosUsd = 1_000_000_000n): Account {
  return new Account(budgetId, { limitNanosUsd, provider: undefined, warning });
}

test("raises an alert for each threshold that is passed, once", async () => {
  const { watch, raised } = open();
  const account = newAccount();
  for (const spent of [0n, 499_999_999n, 500_000_000n, 600_000_000n, 1_000_000_000n, 1_100_000_000n]) {
    watch.note(account, spent);
    await watch.flush();
  }
  assert.deepEqual(
    raised.map(({ labels }) => labels["percent"]),
    ["50", "80", "100"],
  );
  assert.equal(raised[0]?.title, "The month's budget of the team search is spent to 50%");
  assert.equal(raised[0].text, "$0.50 of $1.00 are spent.");
  assert.deepEqual(
    raised.map(({ severity }) => severity),
    [AlertSeverity.WARNING, AlertSeverity.WARNING, AlertSeverity.CRITICAL],
  );
  assert.deepEqual(raised[0].labels, {
    limit_id: "limit",
    scope: "team",
    scope_id: "search",
    window: "month",
    percent: "50",
    organization_id: "acme",
    team_id: "search",
  });
});

test("names alerts alike in every process, and anew in each window", async () => {
  const [here, there] = [open(), open()];
  here.watch.note(newAccount(), 500_000_000n);
  there.watch.note(newAccount(), 700_000_000n);
  there.watch.note(newAccount("limit:limit:search:2026-12"), 500_000_000n);
  await here.watch.flush();
  await there.watch.flush();
  assert.equal(here.raised[0]?.dedupeKey, there.raised[0]?.dedupeKey);
  assert.equal(new Set(there.raised.map(({ dedupeKey }) => dedupeKey)).size, 2);
});

test("counts what top-ups have added", async () => {
  const { watch, raised } = open();
  const account = newAccount();
  account.extraNanosUsd = 1_000_000_000n;
  watch.note(account, 999_999_999n);
  await watch.flush();
  assert.deepEqual(raised, []);
});

test("raises again what could not be raised", async () => {
  let isAway = true;
  const { watch, raised } = open(async () => {
    if (isAway) {
      throw new Error("away");
    }
  });
  watch.note(newAccount(), 500_000_000n);
  await assert.rejects(watch.flush());
  isAway = false;
  await watch.flush();
  await watch.flush();
  assert.equal(raised.length, 1);
});

test("keeps its names short, and says nothing of a budget of nothing", async () => {
  const { watch, raised } = open();
  watch.note(newAccount(`limit:${"x".repeat(1_000)}`), 500_000_000n);
  watch.note(newAccount("limit:nothing", 0n), 0n);
  await watch.flush();
  assert.equal(raised.length, 1);
  assert.ok((raised[0]?.dedupeKey ?? "").length < 500);
});
