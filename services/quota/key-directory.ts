import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type KeyRecord, KeyState } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { roleValue } from "#kit/auth/role-values.ts";
import type { Account } from "./budget-account.ts";
import type { BudgetCounter, CounterLabel, RateCounter, RequestLimits } from "./limits/counters.ts";
import type { LimitBook } from "./limits/limit-book.ts";
import type { LimitFacts } from "./limits/limit-rule.ts";
import { keyBudgetId, type StoredKey } from "./store/store.ts";

/** What a request adds to what is known of its key. */
export type RequestFacts = Pick<LimitFacts, "tags" | "model" | "providers">;

/** A key of this process. */
export interface DirectoryEntry {
  readonly key: StoredKey;
  /** What limits all its requests; found again when limits change or a window ends. */
  found: { readonly limits: RequestLimits; readonly untilMs: number; readonly generation: number } | undefined;
}

/** What the directory works with. */
export interface KeyDirectoryDeps {
  /** The account of a budget that the store knows. */
  readonly account: (budgetId: string) => Account;
  readonly book: LimitBook;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
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
    return Array.from(this.#entries.values(), (entry) => this.recordOf(entry));
  }

  /** Takes over a key unless a later revision is known. What its limits have counted is kept. */
  put(key: StoredKey): void {
    const known = this.#entries.get(key.id);
    if (known !== undefined && known.key.revision >= key.revision) {
      return;
    }
    this.#entries.set(key.id, { key, found: undefined });
    this.#deps.onChange(key, known?.key);
  }

  /** Everything that limits a request of a key. */
  limitsOf(entry: DirectoryEntry, request: RequestFacts): RequestLimits {
    const { book } = this.#deps;
    const ofKey = this.#limitsOfKey(entry);
    if (!book.dependsOnRequest) {
      return ofKey;
    }
    const ofRequest = book.ofRequest(factsOf(entry.key, request));
    return {
      budgets: [...ofKey.budgets, ...ofRequest.budgets],
      rates: [...ofKey.rates, ...ofRequest.rates],
      slots: [...ofKey.slots, ...ofRequest.slots],
    };
  }

  /** What the ingress needs to know of a key; a fresh message each time. */
  recordOf(entry: DirectoryEntry): KeyRecord {
    const { key } = entry;
    const { budgets, rates, slots } = this.#limitsOfKey(entry);
    const { dependsOnRequest, budgetsDependOnRequest } = this.#deps.book;
    return {
      $typeName: "penstock.quota.v1.KeyRecord",
      id: key.id,
      digest: Uint8Array.from(key.digest),
      state: stateOf(key),
      ...(key.expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(key.expireTimeMs) }),
      allowedModels: [...key.allowedModels],
      hasBudget: budgets.length > 0,
      mayHaveBudget: budgetsDependOnRequest,
      hasRateLimit: rates.length > 0 || slots.length > 0 || dependsOnRequest,
      teamId: key.teamId,
      organizationId: key.organizationId,
      userId: key.userId,
      tags: { ...key.tags },
      admin: key.admin,
      role: roleValue(key.role),
      previousDigest: Uint8Array.from(key.previous?.digest ?? []),
      ...(key.previous === undefined ? {} : { previousExpireTime: timestampFromMs(key.previous.expireTimeMs) }),
      logBodies: key.logBodies,
      revision: key.revision,
    };
  }

  #limitsOfKey(entry: DirectoryEntry): RequestLimits {
    const { book, wallClock } = this.#deps;
    const { found } = entry;
    if (found !== undefined && found.generation === book.generation && wallClock() < found.untilMs) {
      return found.limits;
    }
    const { generation } = book;
    const { limits, untilMs } = book.ofKey(factsOf(entry.key, noRequest));
    const own = this.#ownLimits(entry.key);
    const all: RequestLimits = {
      budgets: [...own.budgets, ...limits.budgets],
      rates: [...own.rates, ...limits.rates],
      slots: limits.slots,
    };
    entry.found = { limits: all, untilMs, generation };
    return all;
  }

  /** The limits that stand in the row of the key. */
  #ownLimits(key: StoredKey): Pick<RequestLimits, "budgets" | "rates"> {
    const label: CounterLabel = { limitId: "", scope: "key", tag: "", value: key.id };
    const budgets: BudgetCounter[] = [];
    if (key.budgetNanosUsd !== undefined) {
      const account = this.#deps.account(keyBudgetId(key.id));
      budgets.push({
        label,
        account,
        limitNanosUsd: key.budgetNanosUsd,
        window: "lifetime",
        endMs: Number.POSITIVE_INFINITY,
      });
    }
    const rates: RateCounter[] = [];
    for (const [unit, limit] of [
      ["requests", key.requestsPerMinute],
      ["tokens", key.tokensPerMinute],
    ] as const) {
      if (limit !== undefined) {
        rates.push(this.#deps.book.rate(`key ${unit}\n${key.id}`, unit, label, Number(limit)));
      }
    }
    return { budgets, rates };
  }
}

const noRequest: RequestFacts = { tags: {}, model: "", providers: [] };

function stateOf({ revokeTimeMs, disableTimeMs }: StoredKey): KeyState {
  if (revokeTimeMs !== undefined) {
    return KeyState.REVOKED;
  }
  return disableTimeMs === undefined ? KeyState.ACTIVE : KeyState.DISABLED;
}

function factsOf(key: StoredKey, request: RequestFacts): LimitFacts {
  return {
    organizationId: key.organizationId,
    teamId: key.teamId,
    keyId: key.id,
    userId: key.userId,
    ...request,
  };
}
