import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Key, KeySchema } from "#gen/penstock/admin/v1/key_service_pb.ts";
import type { Role } from "#kit/auth/actor.ts";
import { roleOfValue, roleValue } from "#kit/auth/role-values.ts";
import type { BudgetState, StoredKey } from "../store/store.ts";
import { invalid, notNegative, readText, readTime } from "./read-fields.ts";

/** What of a key can be set by whoever manages it, but where it belongs. */
export type KeySettings = Pick<
  StoredKey,
  | "displayName"
  | "allowedModels"
  | "requestsPerMinute"
  | "tokensPerMinute"
  | "budgetNanosUsd"
  | "tags"
  | "expireTimeMs"
  | "userId"
  | "serviceAccount"
  | "logBodies"
>;

const maxListLength = 1_000;
const maxTags = 64;

/** The settings of a message. Throws INVALID_ARGUMENT for those that a key cannot have. */
export function readKeySettings(key: Key): KeySettings {
  const { tags, allowedModels } = key;
  readText("key.display_name", key.displayName);
  readText("key.user_id", key.userId);
  if (allowedModels.length > maxListLength) {
    throw invalid("key.allowed_models", `has more than ${maxListLength} entries`);
  }
  for (const model of allowedModels) {
    readText("key.allowed_models", model);
  }
  if (Object.keys(tags).length > maxTags) {
    throw invalid("key.tags", `has more than ${maxTags} entries`);
  }
  for (const [name, value] of Object.entries(tags)) {
    readText("key.tags", name);
    readText("key.tags", value);
  }
  return {
    displayName: key.displayName,
    allowedModels,
    requestsPerMinute: notNegative("key.requests_per_minute", key.requestsPerMinute),
    tokensPerMinute: notNegative("key.tokens_per_minute", key.tokensPerMinute),
    budgetNanosUsd: notNegative("key.budget_nanos_usd", key.budgetNanosUsd),
    tags,
    expireTimeMs: readTime("key.expire_time", key.expireTime),
    userId: key.userId,
    serviceAccount: key.serviceAccount,
    logBodies: key.logBodies,
  };
}

/** The role of an admin key, an owner's when the message names none; undefined for other keys. */
export function readKeyRole(key: Key, admin: boolean, usual: Role): Role | undefined {
  const role = roleOfValue(key.role);
  if (!admin && role !== undefined) {
    throw invalid("key.role", "is for admin keys");
  }
  return admin ? (role ?? usual) : undefined;
}

/** A key as callers see it. */
export function mapKey(key: StoredKey, budget: BudgetState | undefined): Key {
  return {
    $typeName: "penstock.admin.v1.Key",
    id: key.id,
    displayName: key.displayName,
    allowedModels: [...key.allowedModels],
    ...(key.budgetNanosUsd === undefined ? {} : { budgetNanosUsd: key.budgetNanosUsd }),
    ...(key.requestsPerMinute === undefined ? {} : { requestsPerMinute: key.requestsPerMinute }),
    ...(key.tokensPerMinute === undefined ? {} : { tokensPerMinute: key.tokensPerMinute }),
    ...(key.expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(key.expireTimeMs) }),
    tags: { ...key.tags },
    teamId: key.teamId,
    createTime: timestampFromMs(key.createTimeMs),
    revoked: key.revokeTimeMs !== undefined,
    spentNanosUsd: budget?.spentNanosUsd ?? 0n,
    heldNanosUsd: budget?.heldNanosUsd ?? 0n,
    admin: key.admin,
    organizationId: key.organizationId,
    role: roleValue(key.role),
    userId: key.userId,
    serviceAccount: key.serviceAccount,
    logBodies: key.logBodies,
    disabled: key.disableTimeMs !== undefined,
    ...(key.previous === undefined ? {} : { previousSecretExpireTime: timestampFromMs(key.previous.expireTimeMs) }),
  };
}

/** A key as the audit log keeps it: neither secrets nor digests, nor what requests change. */
export function auditKey(key: StoredKey): JsonObject {
  // The JSON of a message is an object.
  return toJson(KeySchema, mapKey(key, undefined)) as JsonObject;
}
