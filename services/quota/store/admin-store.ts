import type { JsonObject } from "@bufbuild/protobuf";
import type { Role } from "#kit/auth/actor.ts";
import type { LimitRule } from "../limits/limit-rule.ts";
import type { NewKey, StoredKey } from "./store.ts";

/** Where something belongs; empty where it belongs to none. */
export interface Place {
  readonly organizationId: string;
  readonly teamId: string;
}

/** A tenant. Times are milliseconds since 1970. */
export interface StoredOrganization {
  readonly id: string;
  readonly displayName: string;
  readonly createTimeMs: number;
}

/** A part of an organisation. */
export interface StoredTeam extends StoredOrganization {
  readonly organizationId: string;
}

/** A role of a user, in everything, an organisation or a team. */
export interface StoredMembership extends Place {
  readonly role: Role;
}

/** A person, with all memberships. */
export interface StoredUser extends StoredTeam {
  readonly email: string;
  readonly memberships: readonly StoredMembership[];
}

/** A limit that was set at run time, and whose it is. */
export interface StoredLimit {
  readonly rule: LimitRule;
  readonly owner: Place;
  readonly createTimeMs: number;
}

/** One change, as it is noted. */
export interface AuditRecord extends Place {
  readonly actorKeyId: string;
  readonly actorUserId: string;
  readonly actorRole: Role | undefined;
  /** service/method */
  readonly method: string;
  readonly targetKind: "organization" | "team" | "user" | "key" | "limit";
  readonly targetId: string;
  /** Without secrets; undefined when it was not there. */
  readonly before: JsonObject | undefined;
  readonly after: JsonObject | undefined;
  readonly requestId: string;
}

/** A change that was noted. */
export interface StoredAuditRecord extends Omit<AuditRecord, "targetKind"> {
  readonly id: bigint;
  readonly timeMs: number;
  readonly targetKind: string;
}

/** A page of a list by id: those after `afterId`. */
export interface IdPage {
  readonly limit: number;
  readonly afterId: string;
}

/** Which audit records to list, newest first; what is empty does not narrow the list. */
export interface AuditFilter extends Place {
  readonly limit: number;
  /** Only those before it. */
  readonly beforeId: bigint | undefined;
  readonly targetKind: string;
  readonly targetId: string;
  readonly actorKeyId: string;
}

/** Which budgets of a limit to read: those with ids of these parts, of one value or of those after one. */
export interface BudgetUsageQuery {
  readonly prefix: string;
  readonly suffix: string;
  readonly value: string | undefined;
  readonly afterValue: string;
  readonly limit: number;
}

/** What was used of the budget of one value, in nano-US-dollars. */
export interface BudgetUsage {
  readonly value: string;
  readonly spentNanosUsd: bigint;
  readonly heldNanosUsd: bigint;
  /** What top-ups have added. */
  readonly extraNanosUsd: bigint;
}

/** What came of an addition to a budget; `repeated` names the budget and amount of the first call. */
export type TopUpResult =
  | { readonly kind: "added" }
  | { readonly kind: "repeated"; readonly budgetId: string; readonly amountNanosUsd: bigint };

/** A change that happens as a whole or not at all. What is read here stays so until it ends. */
export interface AdminTransaction {
  getKey(keyId: string): Promise<StoredKey | undefined>;
  /** The key that a call of an admin key has made before. */
  findKeyOfCall(madeBy: string, idempotencyKey: string): Promise<StoredKey | undefined>;
  insertKey(key: NewKey, call: { readonly madeBy: string; readonly idempotencyKey: string }): Promise<StoredKey>;
  /** Replaces a key that was read here. */
  saveKey(key: StoredKey): Promise<StoredKey>;
  /** The ids of the keys of a user that are neither revoked nor of a service account. */
  keyIdsOfUser(userId: string): Promise<readonly string[]>;

  getOrganization(id: string): Promise<StoredOrganization | undefined>;
  /** False when the id was used before. */
  insertOrganization(organization: StoredOrganization): Promise<boolean>;
  renameOrganization(id: string, displayName: string): Promise<void>;
  /** False, with nothing changed, while it has teams, or keys that are not revoked. */
  deleteOrganization(id: string, nowMs: number): Promise<boolean>;

  getTeam(id: string): Promise<StoredTeam | undefined>;
  /** False when the id was used before. */
  insertTeam(team: StoredTeam): Promise<boolean>;
  renameTeam(id: string, displayName: string): Promise<void>;
  /** False, with nothing changed, while it has keys that are not revoked. */
  deleteTeam(id: string, nowMs: number): Promise<boolean>;

  getUser(id: string): Promise<StoredUser | undefined>;
  /** False when the id was used before, or the e-mail address is one of another user of the organisation. */
  insertUser(user: StoredUser): Promise<boolean>;
  /** Replaces name and address. False when the address is one of another user of the organisation. */
  saveUser(user: StoredUser): Promise<boolean>;
  deleteUser(id: string, nowMs: number): Promise<void>;
  setMembership(userId: string, membership: StoredMembership): Promise<void>;
  removeMembership(userId: string, place: Place): Promise<void>;

  getLimit(id: string): Promise<StoredLimit | undefined>;
  /** False when the id exists. */
  insertLimit(limit: StoredLimit): Promise<boolean>;
  /** Replaces amount and thresholds. */
  saveLimit(limit: StoredLimit): Promise<void>;
  deleteLimit(id: string): Promise<void>;
  /** Adds to a budget of one window, which is made when nothing was held of it yet. Idempotent on the call. */
  topUp(
    call: { readonly madeBy: string; readonly idempotencyKey: string },
    budget: { readonly id: string; readonly limitNanosUsd: bigint; readonly amountNanosUsd: bigint },
  ): Promise<TopUpResult>;

  record(record: AuditRecord): Promise<void>;
}

/** Keeps who is who, limits set at run time and the audit log. Every method rejects when the store cannot be asked. */
export interface AdminStore {
  /** Makes a change; again from the start when it failed for a passing reason, so the work does nothing else. */
  change<T>(work: (transaction: AdminTransaction) => Promise<T>): Promise<T>;
  getOrganization(id: string): Promise<StoredOrganization | undefined>;
  /** By id; only the one of `only` where that is not empty. */
  listOrganizations(page: IdPage, only: string): Promise<readonly StoredOrganization[]>;
  getTeam(id: string): Promise<StoredTeam | undefined>;
  /** By id; what of the place is not empty narrows the list. */
  listTeams(page: IdPage, place: Place): Promise<readonly StoredTeam[]>;
  getUser(id: string): Promise<StoredUser | undefined>;
  /** By id; those of the organisation, or with a role in the team, where these are not empty. */
  listUsers(page: IdPage, place: Place): Promise<readonly StoredUser[]>;
  listLimits(): Promise<readonly StoredLimit[]>;
  /** By value. */
  readBudgetUsage(query: BudgetUsageQuery): Promise<readonly BudgetUsage[]>;
  listAudit(filter: AuditFilter): Promise<readonly StoredAuditRecord[]>;
}
