import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError, ServiceImpl } from "@connectrpc/connect";
import type { Key, KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { createCredential } from "./key-credential.ts";
import type { Quota } from "./quota.ts";
import {
  type BudgetState,
  type BudgetStore,
  type KeyCursor,
  type KeySettings,
  type KeyStore,
  keyBudgetId,
  type StoredKey,
} from "./store/store.ts";

/** What the service works with. */
export interface KeyServiceDeps {
  readonly keys: KeyStore;
  readonly budgets: BudgetStore;
  readonly quota: Quota;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

const defaultPageSize = 50;
const maxPageSize = 1_000;
const maxTextLength = 256;
const maxListLength = 1_000;
const maxTags = 64;

/**
 * Manages virtual keys. Changes are told to the callers that watch the keys before the answer is sent. Trusts its
 * callers: the ingress has checked that an admin asks.
 */
export function createKeyService(deps: KeyServiceDeps): ServiceImpl<typeof KeyService> {
  const { keys, quota } = deps;

  const changed = async (work: Promise<StoredKey | undefined>): Promise<StoredKey> => {
    const key = await stored(work);
    if (key === undefined) {
      throw gatewayError(ErrorReason.NOT_FOUND, "no such key");
    }
    quota.directory.put(key);
    return key;
  };
  const describe = async (found: readonly StoredKey[]): Promise<Key[]> => {
    // What this process holds in memory is told to the store first, so that its answer is what is spent now.
    const states = await stored(
      quota.tick().then(() => deps.budgets.readBudgets(found.map((key) => keyBudgetId(key.id)))),
    );
    return found.map((key) => mapKey(key, states.get(keyBudgetId(key.id))));
  };
  const describeOne = async (found: StoredKey): Promise<{ key: Key }> => {
    const [key] = await describe([found]);
    return { key: key ?? mapKey(found, undefined) };
  };

  return {
    async createKey(req) {
      const settings = readSettings(req.key);
      const credential = createCredential();
      const key = await changed(
        keys.insertKey({
          ...settings,
          id: credential.keyId,
          digest: credential.digest,
          organizationId: "default",
          admin: req.key?.admin ?? false,
          createTimeMs: deps.wallClock(),
        }),
      );
      return { key: mapKey(key, undefined), secret: credential.secret };
    },
    async getKey(req) {
      const key = await stored(keys.getKey(req.keyId));
      if (key === undefined) {
        throw gatewayError(ErrorReason.NOT_FOUND, "no such key");
      }
      return describeOne(key);
    },
    async listKeys(req) {
      if (req.pageSize < 0 || req.pageSize > maxPageSize) {
        throw invalid("page_size", `must be between 0 and ${maxPageSize}`);
      }
      const pageSize = req.pageSize === 0 ? defaultPageSize : req.pageSize;
      const found = await stored(keys.listKeys(pageSize + 1, parsePageToken(req.pageToken)));
      const page = found.slice(0, pageSize);
      const last = page.at(-1);
      return {
        keys: await describe(page),
        nextPageToken: last === undefined || found.length <= pageSize ? "" : writePageToken(last),
      };
    },
    async updateKey(req) {
      if (req.key === undefined || req.key.id === "") {
        throw invalid("key.id", "is required");
      }
      return describeOne(await changed(keys.updateKey(req.key.id, readSettings(req.key))));
    },
    async revokeKey(req) {
      return describeOne(await changed(keys.revokeKey(req.keyId, deps.wallClock())));
    },
  };
}

async function stored<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the store of keys cannot be asked", { cause: error });
  }
}

function readSettings(key: Key | undefined): KeySettings {
  const tags = key?.tags ?? {};
  const models = key?.allowedModels ?? [];
  checkText("key.display_name", key?.displayName ?? "");
  checkText("key.team_id", key?.teamId ?? "");
  if (models.length > maxListLength) {
    throw invalid("key.allowed_models", `has more than ${maxListLength} entries`);
  }
  for (const model of models) {
    checkText("key.allowed_models", model);
  }
  if (Object.keys(tags).length > maxTags) {
    throw invalid("key.tags", `has more than ${maxTags} entries`);
  }
  for (const [name, value] of Object.entries(tags)) {
    checkText("key.tags", name);
    checkText("key.tags", value);
  }
  return {
    displayName: key?.displayName ?? "",
    teamId: key?.teamId ?? "",
    allowedModels: models,
    requestsPerMinute: notNegative("key.requests_per_minute", key?.requestsPerMinute),
    tokensPerMinute: notNegative("key.tokens_per_minute", key?.tokensPerMinute),
    budgetNanosUsd: notNegative("key.budget_nanos_usd", key?.budgetNanosUsd),
    tags,
    expireTimeMs: readTime("key.expire_time", key?.expireTime),
  };
}

function checkText(param: string, text: string): void {
  // Postgres keeps no NUL, and a lone surrogate is no text.
  if (text.length > maxTextLength || text.includes("\0") || !text.isWellFormed()) {
    throw invalid(param, `must be text of at most ${maxTextLength} characters`);
  }
}

function notNegative(param: string, value: bigint | undefined): bigint | undefined {
  if (value !== undefined && value < 0n) {
    throw invalid(param, "must not be negative");
  }
  return value;
}

function readTime(param: string, time: Timestamp | undefined): number | undefined {
  if (time === undefined) {
    return undefined;
  }
  const ms = timestampMs(time);
  // From 1970 to 9999, which is what a Timestamp may hold after the epoch.
  if (!(ms >= 0 && ms <= 253_402_300_799_999)) {
    throw invalid(param, "is not a time between 1970 and 9999");
  }
  return Math.floor(ms);
}

function invalid(param: string, problem: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${param} ${problem}`, { metadata: { param } });
}

function writePageToken(cursor: KeyCursor): string {
  return Buffer.from(JSON.stringify([cursor.createTimeMs, cursor.id])).toString("base64url");
}

function parsePageToken(token: string): KeyCursor | undefined {
  if (token === "") {
    return undefined;
  }
  const match = /^\[(\d{1,15}),"([0-9A-Za-z]{1,64})"\]$/.exec(Buffer.from(token, "base64url").toString());
  if (match === null) {
    throw invalid("page_token", "is not one that this service gave");
  }
  return { createTimeMs: Number(match[1]), id: match[2] ?? "" };
}

function mapKey(key: StoredKey, budget: BudgetState | undefined): Key {
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
  };
}
