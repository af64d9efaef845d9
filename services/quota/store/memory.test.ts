import { createMemoryBudgetStore, MemoryBudgets } from "./memory.ts";
import { testBudgetStore } from "./budget-store.contract.ts";

testBudgetStore("the memory store", () => {
  const shared = new MemoryBudgets();
  const open = (holder: string) => createMemoryBudgetStore({ shared, holder, leaseTtlMs: 30_000, now: () => 1_000 });
  return Promise.resolve({
    a: open("a"),
    b: open("b"),
    setLimit(budgetId, limit) {
      shared.setLimit(budgetId, limit);
      return Promise.resolve();
    },
    totals(budgetId) {
      const budget = shared.budgets.get(budgetId);
      return Promise.resolve({ spent: budget?.spent ?? 0n, leased: budget?.leased ?? 0n });
    },
  });
});
