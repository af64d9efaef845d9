import { randomUUID } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Quota, type QuotaOptions } from "./quota.ts";
import { createMemoryBudgetStore, MemoryBudgets } from "./store/memory.ts";
import { createMemoryKeyStore, type MemoryKeyStore } from "./store/memory-keys.ts";
import type { BudgetStore, NewKey } from "./store/store.ts";

/** A clock that tests turn by hand. */
export interface TestClock {
  nowMs: number;
}

/** Settings of a quota under test: patient with the store, so that a busy machine does not decide tests. */
export const testOptions: QuotaOptions = {
  holdTtlMs: 120_000,
  maxHolds: 10_000,
  maxWaitMs: 60_000,
  refillTimeoutMs: 30_000,
  flushTimeoutMs: 30_000,
  graceMs: 5_000,
  retryMs: 500,
  idleMs: 30_000,
  extendMs: 10_000,
  sliceMaximum: 5_000_000_000n,
  maxWaiting: 10_000,
};

/** A key for tests. */
export function testKey(settings: Partial<NewKey>): NewKey {
  const id = randomUUID().replaceAll("-", "").slice(0, 12);
  return {
    id,
    digest: new Uint8Array(Buffer.from(id.padEnd(32, "."))),
    displayName: "test",
    organizationId: "default",
    teamId: "",
    allowedModels: [],
    requestsPerMinute: undefined,
    tokensPerMinute: undefined,
    budgetNanosUsd: undefined,
    tags: {},
    admin: false,
    role: undefined,
    userId: "",
    serviceAccount: false,
    logBodies: false,
    fromEnvironment: false,
    createTimeMs: 1_750_000_000_000,
    expireTimeMs: undefined,
    ...settings,
  };
}

/** A quota in memory. */
export interface TestQuota {
  readonly quota: Quota;
  readonly budgets: BudgetStore;
  readonly keys: MemoryKeyStore;
  readonly clock: TestClock;
  readonly shared: MemoryBudgets;
  readonly errors: unknown[];
}

/** Makes a quota on stores in memory; `wrap` may make the store of budgets fail or wait. */
export function createTestQuota(
  options: Partial<QuotaOptions> = {},
  wrap: (store: BudgetStore) => BudgetStore = (store) => store,
  shared: MemoryBudgets = new MemoryBudgets(),
): TestQuota {
  const clock: TestClock = { nowMs: 1_000_000 };
  const now = (): number => clock.nowMs;
  const budgets = wrap(createMemoryBudgetStore({ shared, holder: randomUUID(), leaseTtlMs: 30_000, now }));
  const keys = createMemoryKeyStore({ budgets: shared, now });
  const errors: unknown[] = [];
  const quota = new Quota({
    budgets,
    keys,
    now,
    wallClock: now,
    newId: randomUUID,
    options: { ...testOptions, ...options },
    onError: (error) => errors.push(error),
  });
  return { quota, budgets, keys, clock, shared, errors };
}

/** An accounting service that knows what the ledger holds for leases, and nothing else. */
export function ledgerOf(leases: ReadonlyMap<string, bigint>): ServiceImpl<typeof AccountingService> {
  const methods: Record<string, unknown> = Object.fromEntries(
    AccountingService.methods.map(({ localName }) => [localName, () => ({})]),
  );
  methods["sumLeases"] = ({ leaseIds }: { readonly leaseIds: readonly string[] }) => ({
    costNanosUsd: Object.fromEntries(leaseIds.map((id) => [id, leases.get(id) ?? 0n])),
  });
  // Each method was added above; quota calls no other than this one.
  return methods as ServiceImpl<typeof AccountingService>;
}
