import type { MemoryBudgets } from "./memory.ts";
import { type KeyStore, keyBudgetId, type NewKey, type StoredKey } from "./store.ts";

/** Makes a store of keys that forgets everything with its process; for unit tests only. */
export function createMemoryKeyStore(deps: { readonly budgets: MemoryBudgets; readonly now: () => number }): KeyStore {
  const keys = new Map<string, StoredKey>();
  const given = new Set<string>();
  const changed = new Map<string, number>();

  const put = (key: StoredKey): StoredKey => {
    keys.set(key.id, key);
    changed.set(key.id, deps.now());
    if (key.budgetNanosUsd !== undefined || deps.budgets.budgets.has(keyBudgetId(key.id))) {
      deps.budgets.setLimit(keyBudgetId(key.id), key.budgetNanosUsd);
    }
    return key;
  };
  const insert = (key: NewKey): StoredKey => {
    if (keys.has(key.id) || find(keys, key.digest) !== undefined) {
      throw new Error("the key exists");
    }
    return put({ ...key, revokeTimeMs: undefined, revision: 1n });
  };
  const change = (keyId: string, settings: Partial<StoredKey>): StoredKey | undefined => {
    const key = keys.get(keyId);
    return key === undefined ? undefined : put({ ...key, ...settings, revision: key.revision + 1n });
  };

  return {
    insertKey: async (key) => insert(key),
    updateKey: async (keyId, settings) => change(keyId, settings),
    revokeKey: async (keyId, nowMs) => change(keyId, { revokeTimeMs: keys.get(keyId)?.revokeTimeMs ?? nowMs }),
    getKey: async (keyId) => keys.get(keyId),
    findKeyByDigest: async (digest) => find(keys, digest),
    listKeys: async (limit, after) =>
      [...keys.values()]
        .toSorted((a, b) => b.createTimeMs - a.createTimeMs || (a.id < b.id ? 1 : -1))
        .filter(
          (key) =>
            after === undefined ||
            key.createTimeMs < after.createTimeMs ||
            (key.createTimeMs === after.createTimeMs && key.id < after.id),
        )
        .slice(0, limit),
    listChangedKeys: async (withinMs) =>
      [...keys.values()].filter((key) => (changed.get(key.id) ?? 0) > deps.now() - withinMs),
    async bootstrap({ admin, given: isGiven, first }) {
      const isEmpty = keys.size === 0;
      let adminAdded = false;
      if (isGiven) {
        for (const id of given) {
          const key = keys.get(id);
          if (key !== undefined && Buffer.compare(key.digest, admin.digest) !== 0) {
            change(id, { revokeTimeMs: key.revokeTimeMs ?? admin.createTimeMs });
          }
        }
        const known = find(keys, admin.digest);
        adminAdded = known === undefined;
        const { id } = known === undefined ? insert(admin) : known;
        given.add(id);
        if (known !== undefined && (known.revokeTimeMs !== undefined || !known.admin)) {
          change(id, { revokeTimeMs: undefined, expireTimeMs: undefined, admin: true });
        }
      } else if (isEmpty) {
        insert(admin);
        adminAdded = true;
      }
      if (isEmpty) {
        insert(first);
      }
      return { adminAdded, firstAdded: isEmpty };
    },
  };
}

function find(keys: ReadonlyMap<string, StoredKey>, digest: Uint8Array): StoredKey | undefined {
  return keys.values().find((key) => Buffer.compare(key.digest, digest) === 0);
}
