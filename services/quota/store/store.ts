import type { Role } from "#kit/auth/actor.ts";

/** What a holder knows of its lease. All amounts are totals since the lease began, in nano-US-dollars. */
export interface LeaseSync {
  readonly leaseId: string;
  readonly budgetId: string;
  /** The budget's limit, for budgets that are made by their first lease; undefined where the store has the limit. */
  readonly limit: bigint | undefined;
  /** Whether the store may not have the lease yet. */
  readonly isNew: boolean;
  /** Larger with each synchronisation of the lease. */
  readonly sequence: number;
  readonly granted: bigint;
  readonly spent: bigint;
  readonly held: bigint;
  /** How much more the holder needs; 0 asks for nothing. */
  readonly need: bigint;
  /** The least that is of use. */
  readonly minimum: bigint;
  /** The most to take when the budget is large. */
  readonly maximum: bigint;
  /** Gives back what is neither spent nor held, and ends the lease; nothing may be held. */
  readonly close: boolean;
}

/**
 * What the store made of it. `room` is what the budget has left for any lease, negative when it is overdrawn; `extra` what top-ups have
 * added to it, `spent` what is spent of it, perhaps without this synchronisation. `lost`: the
 * lease was taken away, because its holder was not heard of or the budget was deleted. `stale`: a later synchronisation
 * has already been applied.
 */
export type LeaseSyncResult =
  | {
      readonly kind: "synced";
      readonly granted: bigint;
      readonly room: bigint;
      readonly extra: bigint;
      readonly spent: bigint;
    }
  | { readonly kind: "lost" }
  | { readonly kind: "stale" };

/** A settlement that was sent to another process than the leases' holder. */
export interface ForwardedSettlement {
  readonly requestId: string;
  readonly keyId: string;
  /** The leases that the hold was taken from, at least one; all are of one process. */
  readonly leaseIds: readonly string[];
  readonly costNanosUsd: bigint;
  readonly providerCosts: Readonly<Record<string, bigint>>;
  readonly tokens: bigint;
}

/** The state of a budget, in nano-US-dollars. */
export interface BudgetState {
  readonly spentNanosUsd: bigint;
  /** What holders of leases have told is held for running requests. */
  readonly heldNanosUsd: bigint;
}

/** Keeps budgets and their leases. Every method rejects when the store cannot be asked, and then may have happened. */
export interface BudgetStore {
  /**
   * Brings leases up to what their holder knows, moves what is spent to the budgets, and takes more where asked and
   * left: between `minimum` and everything; `need`, or an eighth of the rest up to `maximum` if that is more. All or
   * nothing; idempotent by sequence. Results are in the order of `syncs`.
   */
  syncLeases(syncs: readonly LeaseSync[]): Promise<readonly LeaseSyncResult[]>;
  /** The states of budgets; those that do not exist are left out. */
  readBudgets(budgetIds: readonly string[]): Promise<ReadonlyMap<string, BudgetState>>;
  /** Leaves a settlement for the holder of its leases. Idempotent on the request; nothing happens without an open one. */
  forwardSettlement(settlement: ForwardedSettlement): Promise<void>;
  /**
   * The settlements left for this store's holder, at most 1000, after those of the given requests were removed: each is
   * told again and again until it is known to be applied, since an answer may be lost.
   */
  takeForwarded(appliedRequestIds: readonly string[]): Promise<readonly ForwardedSettlement[]>;
  /** Leases of dead holders and closed ones that are due to be compared with the ledger, at most `limit`. */
  leasesToReconcile(graceMs: number, limit: number): Promise<readonly string[]>;
  /**
   * Charges a lease with the ledger's sum where that is more than it has settled, and returns the rest to the budget.
   * Returns what was charged now. Idempotent; a lease whose holder lives is left alone.
   */
  reconcileLease(leaseId: string, ledgerNanosUsd: bigint, graceMs: number): Promise<bigint>;
  /** Declares the holders of all open leases dead; for a process that knows that it is the only one. */
  expireLeases(): Promise<void>;
}

/** A virtual key as it is stored. Times are milliseconds since 1970. */
export interface StoredKey {
  readonly id: string;
  readonly digest: Uint8Array;
  readonly displayName: string;
  readonly organizationId: string;
  readonly teamId: string;
  readonly allowedModels: readonly string[];
  readonly requestsPerMinute: bigint | undefined;
  readonly tokensPerMinute: bigint | undefined;
  /** The budget's limit in nano-US-dollars; undefined without one. */
  readonly budgetNanosUsd: bigint | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly admin: boolean;
  /** What an admin key may do; undefined for keys that call models. Its scope is its organisation and team. */
  readonly role: Role | undefined;
  /** Empty when it belongs to nobody. */
  readonly userId: string;
  readonly serviceAccount: boolean;
  readonly logBodies: boolean;
  /** Whether it was made from the environment of the program, which may replace it at a later start. */
  readonly fromEnvironment: boolean;
  readonly createTimeMs: number;
  readonly expireTimeMs: number | undefined;
  readonly revokeTimeMs: number | undefined;
  readonly disableTimeMs: number | undefined;
  /** The credential before the last rotation. */
  readonly previous: { readonly digest: Uint8Array; readonly expireTimeMs: number } | undefined;
  /** Grows with each change. */
  readonly revision: bigint;
}

/** A key to make; the store sets the revision. */
export type NewKey = Omit<StoredKey, "revision" | "revokeTimeMs" | "disableTimeMs" | "previous">;

/** Which keys to list; what is empty does not narrow the list. */
export interface KeyFilter {
  readonly organizationId: string;
  readonly teamId: string;
  readonly userId: string;
  readonly hideRevoked: boolean;
}

/** A place in the list of keys, newest first. */
export interface KeyCursor {
  readonly createTimeMs: number;
  readonly id: string;
}

/** Keeps virtual keys. Every method rejects when the store cannot be asked. */
export interface KeyStore {
  /** Adds a key, with its budget. Rejects when the id or digest exists. */
  insertKey(key: NewKey): Promise<StoredKey>;
  getKey(keyId: string): Promise<StoredKey | undefined>;
  /** The key of a credential, or of the one before its last rotation while that works. */
  findKeyByDigest(digest: Uint8Array): Promise<StoredKey | undefined>;
  /** Keys from the newest on, after the cursor. */
  listKeys(limit: number, after: KeyCursor | undefined, filter?: KeyFilter): Promise<readonly StoredKey[]>;
  /** Keys that changed within the last `withinMs`, oldest change first. */
  listChangedKeys(withinMs: number): Promise<readonly StoredKey[]>;
  /**
   * Makes sure that the keys of the first start exist, once however many processes start at the same time. With `given`
   * set, that admin key is valid afterwards and those given at earlier starts are revoked; else `admin` is added when
   * there is no key at all. `first` is added when there is no key at all. Returns which of them were added.
   */
  bootstrap(keys: {
    readonly admin: NewKey;
    readonly given: boolean;
    readonly first: NewKey;
  }): Promise<{ readonly adminAdded: boolean; readonly firstAdded: boolean }>;
}

/** The id of the budget of a key. */
export function keyBudgetId(keyId: string): string {
  return `key:${keyId}`;
}

/** The organisation of whatever names none. */
export const defaultOrganizationId = "default";
