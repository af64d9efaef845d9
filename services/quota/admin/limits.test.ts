import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { type Limit, LimitScope, LimitWindow } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { limitsConfig } from "../limits/limits-config.ts";
import { owner, refused, startAdmin, type TestAdmin } from "./testing.ts";

const postgres = await startTestPostgres();
/** Two processes on one database. */
let here: TestAdmin;
let there: TestAdmin;
before(async () => {
  const databaseUrl = await postgres.createDatabase();
  const limits = limitsConfig.parse([{ scope: { organization: "each" }, budget: "$9", window: "month" }]);
  [here, there] = [await startAdmin(databaseUrl, limits), await startAdmin(databaseUrl, limits)];
  for (const id of ["search", "chat", "docs"]) {
    await here.as(owner).teams.createTeam({ team: { id } });
  }
});
after(async () => {
  await here.stop();
  await there.stop();
  await postgres.close();
});

const cost = (nanos: bigint) => ({ costNanosUsd: nanos, minimumCostNanosUsd: nanos });
let requests = 0;
const requestId = (): string => `request ${(requests += 1)}`;

async function keyOfTeam(teamId: string): Promise<string> {
  const { key } = await here.as(owner).keys.createKey({ key: { teamId } });
  return key?.id ?? "";
}

async function teamBudget(teamId: string, nanos: bigint, more: Partial<Limit> = {}): Promise<string> {
  const { limit } = await here.as(owner).limits.createLimit({
    limit: {
      scope: LimitScope.TEAM,
      value: teamId,
      amount: { case: "budgetNanosUsd", value: nanos },
      window: more.window ?? LimitWindow.MONTH,
      zone: more.zone ?? "Europe/Berlin",
    },
  });
  return limit?.id ?? "";
}

test("a team's budget holds at once where it was set, and elsewhere soon after", async () => {
  const limitId = await teamBudget("search", 1_000n);
  const keyId = await keyOfTeam("search");
  const { leases } = await here.quota.reserve({ requestId: requestId(), keyId, ...cost(1_000n) });
  assert.equal(leases.length, 2, "the team's and the organisation's");
  await assert.rejects(here.quota.reserve({ requestId: requestId(), keyId, ...cost(1n) }), (error) => {
    const { reset, ...facts } = errorDetailOf(error).metadata;
    assert.ok(reset !== undefined && Date.parse(reset) > Date.now());
    assert.deepEqual(facts, {
      limit: "budget",
      scope: "team",
      scope_id: "search",
      limit_id: limitId,
      window: "month",
      value: "1000",
      used: "1000",
    });
    return true;
  });
  await until(async () => {
    const outcome = await there.quota.reserve({ requestId: requestId(), keyId, ...cost(1n) }).then(
      () => "held",
      (error: unknown) => errorDetailOf(error).metadata["limit_id"],
    );
    return outcome === limitId;
  });
});

test("a budget that is used up lets requests pass again after a top-up, in every process, once", async () => {
  const limitId = await teamBudget("chat", 100n);
  const keyId = await keyOfTeam("chat");
  await here.quota.reserve({ requestId: requestId(), keyId, ...cost(100n) });
  await assert.rejects(here.quota.reserve({ requestId: requestId(), keyId, ...cost(1n) }));
  const { limits } = here.as(owner);
  const topUp = { limitId, amountNanosUsd: 50n, idempotencyKey: "top up chat" };
  const { usage } = await limits.topUp(topUp);
  assert.deepEqual([usage?.limit, usage?.held, usage?.available, usage?.topUps], [150n, 100n, 50n, 50n]);
  assert.equal((await limits.topUp(topUp)).usage?.limit, 150n, "the same call adds nothing");
  await refused(limits.topUp({ ...topUp, amountNanosUsd: 51n }), Code.InvalidArgument);
  await there.quota.reserve({ requestId: requestId(), keyId, ...cost(50n) });
  await assert.rejects(there.quota.reserve({ requestId: requestId(), keyId, ...cost(1n) }), (error) => {
    assert.equal(errorDetailOf(error).metadata["value"], "150");
    assert.equal(errorDetailOf(error).metadata["used"], "150");
    return true;
  });
});

test("tells what is used, held and left, and when the window ends", async () => {
  const limitId = await teamBudget("docs", 1_000n, { window: LimitWindow.DAY });
  const { limits } = here.as(owner);
  assert.deepEqual(
    (await limits.getUsage({ limitId })).usages.map(({ value, used, available }) => [value, used, available]),
    [["docs", 0n, 1_000n]],
  );
  const keyId = await keyOfTeam("docs");
  const id = requestId();
  const { leases } = await here.quota.reserve({ requestId: id, keyId, ...cost(300n) });
  await here.quota.reserve({ requestId: requestId(), keyId, ...cost(100n) });
  await here.quota.settle({
    settlements: [{ requestId: id, keyId, leaseIds: leases.map(({ leaseId }) => leaseId), costNanosUsd: 250n }],
  });
  const [usage] = (await limits.getUsage({ limitId })).usages;
  assert.deepEqual([usage?.limit, usage?.used, usage?.held, usage?.available], [1_000n, 250n, 100n, 650n]);
  const resetMs = Number(usage?.resetTime?.seconds ?? 0n) * 1_000;
  assert.ok(resetMs > Date.now() && resetMs <= Date.now() + 25 * 3_600_000);
});

test("tells the use of each value of a limit of the configuration, which nobody changes here", async () => {
  const { limits, keys } = here.as(owner);
  const { limits: all } = await limits.listLimits({ pageSize: 1 });
  const [configured] = all;
  assert.deepEqual([configured?.fromConfiguration, configured?.value], [true, ""]);
  const limitId = configured?.id ?? "";
  const { key } = await keys.createKey({});
  await here.quota.reserve({ requestId: requestId(), keyId: key?.id ?? "", ...cost(1n) });
  const { usages } = await limits.getUsage({ limitId });
  assert.deepEqual(
    usages.map(({ value, limit }) => [value, limit]),
    [["default", 9_000_000_000n]],
  );
  await refused(limits.deleteLimit({ limitId }), Code.InvalidArgument);
  assert.ok(configured !== undefined);
  await refused(limits.updateLimit({ limit: configured }), Code.InvalidArgument);
  await refused(limits.topUp({ limitId, amountNanosUsd: 1n, idempotencyKey: "x" }), Code.InvalidArgument);
  const { usage } = await limits.topUp({ limitId, value: "acme", amountNanosUsd: 1n, idempotencyKey: "y" });
  assert.equal(usage?.limit, 9_000_000_001n);
});

test("a limit that is changed or ended holds anew at once", async () => {
  const { limits, keys } = here.as(owner);
  const { key } = await keys.createKey({});
  const keyId = key?.id ?? "";
  const wanted = {
    scope: LimitScope.KEY,
    value: keyId,
    amount: { case: "requestsPerMinute", value: 0n },
  } as const;
  const { limit } = await limits.createLimit({ limit: wanted });
  assert.ok(limit !== undefined);
  await refused(here.quota.reserve({ requestId: requestId(), keyId }), Code.ResourceExhausted);
  const raised = { ...limit, amount: { case: "requestsPerMinute", value: 100n } } as const;
  assert.equal((await limits.updateLimit({ limit: raised })).limit?.amount.value, 100n);
  await here.quota.reserve({ requestId: requestId(), keyId });
  assert.equal((await limits.getUsage({ limitId: limit.id })).usages[0]?.used, 1n);
  await refused(limits.updateLimit({ limit: { ...raised, value: "other" } }), Code.InvalidArgument);
  await limits.updateLimit({ limit });
  await refused(here.quota.reserve({ requestId: requestId(), keyId }), Code.ResourceExhausted);
  await limits.deleteLimit({ limitId: limit.id });
  await here.quota.reserve({ requestId: requestId(), keyId });
  await refused(limits.deleteLimit({ limitId: limit.id }), Code.NotFound);
});

test("a budget that is lowered holds for what a process had taken of it already", async () => {
  const { limits, teams } = here.as(owner);
  await teams.createTeam({ team: { id: "lower" } });
  const limitId = await teamBudget("lower", 1_000_000n);
  const keyId = await keyOfTeam("lower");
  await here.quota.reserve({ requestId: requestId(), keyId, ...cost(100n) });
  const { limits: all } = await limits.listLimits({ pageSize: 1_000 });
  const limit = all.find(({ id }) => id === limitId);
  assert.ok(limit !== undefined);
  await limits.updateLimit({ limit: { ...limit, amount: { case: "budgetNanosUsd", value: 150n } } });
  await until(async () => {
    const outcome = await here.quota.reserve({ requestId: requestId(), keyId, ...cost(51n) }).then(
      () => "held",
      () => "refused",
    );
    return outcome === "refused";
  });
  await here.quota.reserve({ requestId: requestId(), keyId, ...cost(50n) });
});

test("making a limit with an id of one's own twice makes one", async () => {
  const { limits } = here.as(owner);
  const limit = {
    id: "0198c0de-0000-7000-8000-000000000001",
    scope: LimitScope.MODEL,
    amount: { case: "concurrency", value: 5n },
  } as const;
  await limits.createLimit({ limit });
  assert.equal((await limits.createLimit({ limit })).limit?.id, limit.id);
  await refused(
    limits.createLimit({ limit: { ...limit, amount: { case: "concurrency", value: 6n } } }),
    Code.InvalidArgument,
  );
  await limits.deleteLimit({ limitId: limit.id });
});

test("refuses limits that say too little, too much or something impossible", async () => {
  const { limits } = here.as(owner);
  const budget = { case: "budgetNanosUsd", value: 5n } as const;
  const rate = { case: "requestsPerMinute", value: 5n } as const;
  for (const limit of [
    {},
    { scope: LimitScope.TEAM },
    { amount: budget },
    { scope: LimitScope.TEAM, amount: { case: "budgetNanosUsd", value: -1n } as const },
    { scope: LimitScope.TEAM, tag: "a", amount: budget },
    { scope: LimitScope.TAG, amount: budget },
    { scope: LimitScope.TEAM, amount: budget, zone: "Mars/Olympus" },
    { scope: LimitScope.TEAM, amount: rate, window: LimitWindow.DAY },
    { scope: LimitScope.TEAM, amount: rate, warnPercents: [50] },
    { scope: LimitScope.TEAM, amount: budget, warnPercents: [0] },
    { scope: LimitScope.TEAM, amount: budget, warnPercents: [101] },
    { scope: LimitScope.TEAM, amount: budget, id: "mine" },
    { scope: LimitScope.TEAM, value: "nobody", amount: budget },
  ]) {
    await refused(
      limits.createLimit({ limit }),
      Code.InvalidArgument,
      JSON.stringify(limit, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
    );
  }
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadlineMs, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
