import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type KeyRecord, KeyState } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { Account } from "./budget-account.ts";
import type { KeyLimits } from "./reserve.ts";
import { RateWindow } from "./rate-window.ts";
import { keyBudgetId, type StoredKey } from "./store/store.ts";

/** A key with what limits it in this process. */
export interface DirectoryEntry {
  readonly key: StoredKey;
  readonly limits: KeyLimits;
}

/** What the directory works with. */
export interface KeyDirectoryDeps {
  /** The account of a budget. */
  readonly account: (budgetId: string) => Account;
  /** Hears of each key that is new or changed, and of what it was before. */
  readonly onChange: (key: StoredKey, before: StoredKey | undefined) => void;
}

/** All keys, in memory. Revoked ones stay, so that whoever asks learns that they are revoked. */
export class KeyDirectory {
  readonly #entries = new Map<string, DirectoryEntry>();
  readonly #deps: KeyDirectoryDeps;

  constructor(deps: KeyDirectoryDeps) {
    this.#deps = deps;
  }

  get(keyId: string): DirectoryEntry | undefined {
    return this.#entries.get(keyId);
  }

  /** All keys, as callers see them. */
  records(): KeyRecord[] {
    return Array.from(this.#entries.values(), ({ key }) => mapKeyRecord(key));
  }

  /** Takes over a key unless a later revision is known. What its limits have counted is kept. */
  put(key: StoredKey): void {
    const known = this.#entries.get(key.id);
    if (known !== undefined && known.key.revision >= key.revision) {
      return;
    }
    const limits: KeyLimits = known?.limits ?? {
      keyId: key.id,
      accounts: [],
      requests: undefined,
      tokens: undefined,
    };
    limits.accounts = key.budgetNanosUsd === undefined ? [] : [this.#deps.account(keyBudgetId(key.id))];
    limits.requests = windowOf(limits.requests, key.requestsPerMinute);
    limits.tokens = windowOf(limits.tokens, key.tokensPerMinute);
    this.#entries.set(key.id, { key, limits });
    this.#deps.onChange(key, known?.key);
  }
}

/** What the ingress needs to know of a key; a fresh message each time. */
export function mapKeyRecord(key: StoredKey): KeyRecord {
  return {
    $typeName: "penstock.quota.v1.KeyRecord",
    id: key.id,
    digest: Uint8Array.from(key.digest),
    state: key.revokeTimeMs === undefined ? KeyState.ACTIVE : KeyState.REVOKED,
    ...(key.expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(key.expireTimeMs) }),
    allowedModels: [...key.allowedModels],
    hasBudget: key.budgetNanosUsd !== undefined,
    hasRateLimit: key.requestsPerMinute !== undefined || key.tokensPerMinute !== undefined,
    teamId: key.teamId,
    organizationId: key.organizationId,
    tags: { ...key.tags },
    admin: key.admin,
  };
}

function windowOf(known: RateWindow | undefined, limit: bigint | undefined): RateWindow | undefined {
  if (limit === undefined) {
    return undefined;
  }
  const window = known ?? new RateWindow(0);
  window.limit = Number(limit);
  return window;
}
