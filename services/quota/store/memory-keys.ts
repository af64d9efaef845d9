import type { MemoryBudgets } from "./memory.ts";
import { type KeyFilter, type KeyStore, keyBudgetId, type NewKey, type StoredKey } from "./store.ts";

/** A store of keys in memory, which tests may also write to. */
export interface MemoryKeyStore extends KeyStore {
  /** Replaces a key by a later revision of it. */
  saveKey(key: StoredKey): StoredKey;
}

/** Makes a store of keys that forgets everything with its process; for unit tests only. */
export function createMemoryKeyStore(deps: {
  readonly budgets: MemoryBudgets;
  readonly now: () => number;
}): MemoryKeyStore {
  const keys = new Map<string, StoredKey>();
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
    if (keys.has(key.id) || find(keys, key.digest, deps.now()) !== undefined) {
      throw new Error("the key exists");
    }
    return put({ ...key, revokeTimeMs: undefined, disableTimeMs: undefined, previous: undefined, revision: 1n });
  };
  const saveKey = (key: StoredKey): StoredKey => put({ ...key, revision: key.revision + 1n });

  return {
    insertKey: async (key) => insert(key),
    saveKey,
    getKey: async (keyId) => keys.get(keyId),
    findKeyByDigest: async (digest) => find(keys, digest, deps.now()),
    listKeys: async (limit, after, filter) =>
      [...keys.values()]
        .toSorted((a, b) => b.createTimeMs - a.createTimeMs || (a.id < b.id ? 1 : -1))
        .filter((key) => filter === undefined || matches(key, filter))
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
        for (const key of keys.values()) {
          if (key.fromEnvironment && key.revokeTimeMs === undefined && !isSame(key.digest, admin.digest)) {
            saveKey({ ...key, revokeTimeMs: admin.createTimeMs });
          }
        }
        const known = keys.values().find((key) => isSame(key.digest, admin.digest));
        adminAdded = known === undefined;
        if (known === undefined) {
          insert(admin);
        } else {
          const { role, organizationId, teamId } = admin;
          const valid = { revokeTimeMs: undefined, disableTimeMs: undefined, expireTimeMs: undefined };
          saveKey({ ...known, ...valid, admin: true, role, organizationId, teamId, fromEnvironment: true });
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

function find(keys: ReadonlyMap<string, StoredKey>, digest: Uint8Array, nowMs: number): StoredKey | undefined {
  return keys
    .values()
    .find(
      ({ digest: current, previous }) =>
        isSame(current, digest) ||
        (previous !== undefined && previous.expireTimeMs > nowMs && isSame(previous.digest, digest)),
    );
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function matches(key: StoredKey, { organizationId, teamId, userId, hideRevoked }: KeyFilter): boolean {
  return (
    (organizationId === "" || key.organizationId === organizationId) &&
    (teamId === "" || key.teamId === teamId) &&
    (userId === "" || key.userId === userId) &&
    (!hideRevoked || key.revokeTimeMs === undefined)
  );
}
