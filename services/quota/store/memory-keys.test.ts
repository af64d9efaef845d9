import { MemoryBudgets } from "./memory.ts";
import { createMemoryKeyStore } from "./memory-keys.ts";
import { testKeyStore } from "./key-store.contract.ts";

testKeyStore("the memory store of keys", () =>
  Promise.resolve(createMemoryKeyStore({ budgets: new MemoryBudgets(), now: () => 1_000 })),
);
