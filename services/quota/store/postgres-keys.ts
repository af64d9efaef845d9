import type pg from "pg";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import type { Role } from "#kit/auth/actor.ts";
import { type KeyStore, keyBudgetId, type NewKey, type StoredKey } from "./store.ts";

interface KeyRow {
  readonly id: string;
  readonly digest: Buffer;
  readonly display_name: string;
  readonly organization_id: string;
  readonly team_id: string;
  readonly allowed_models: readonly string[];
  readonly requests_per_minute: bigint | null;
  readonly tokens_per_minute: bigint | null;
  readonly limit_nanos: bigint | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly admin: boolean;
  readonly role: Role | null;
  readonly user_id: string;
  readonly service_account: boolean;
  readonly log_bodies: boolean;
  readonly from_environment: boolean;
  readonly create_time: Date;
  readonly expire_time: Date | null;
  readonly revoke_time: Date | null;
  readonly disable_time: Date | null;
  readonly previous_digest: Buffer | null;
  readonly previous_expire_time: Date | null;
  readonly revision: bigint;
}

const selectKeys = `SELECT k.id, k.digest, k.display_name, k.organization_id, k.team_id, k.allowed_models,
  k.requests_per_minute, k.tokens_per_minute, b.limit_nanos, k.tags, k.admin, k.role, k.user_id, k.service_account,
  k.log_bodies, k.from_environment, k.create_time, k.expire_time, k.revoke_time, k.disable_time, k.previous_digest,
  k.previous_expire_time, k.revision
  FROM quota.keys k LEFT JOIN quota.budgets b ON b.scope_kind = 'key' AND b.scope_id = k.id`;

/** The channel on which changed keys are announced; the payload is the key's id. */
export const keyChannel = "penstock_quota_keys";

/** Makes the store of keys in Postgres; the schema `quota` is migrated. */
export function createPostgresKeyStore(deps: { readonly pool: pg.Pool }): KeyStore {
  const { pool } = deps;

  return {
    insertKey: (key) => withTransaction(pool, (client) => insertKey(client, key), { idempotent: false }),
    getKey: (keyId) => readKey(pool, "k.id = $1", keyId),
    findKeyByDigest: (digest) =>
      readKey(
        pool,
        "k.digest = $1 OR (k.previous_digest = $1 AND k.previous_expire_time > clock_timestamp()) LIMIT 1",
        digest,
      ),
    async listKeys(limit, after, filter) {
      const result = await pool.query<KeyRow>(
        `${selectKeys} WHERE ($2::timestamptz IS NULL OR (k.create_time, k.id) < ($2, $3))
           AND ($4 = '' OR k.organization_id = $4) AND ($5 = '' OR k.team_id = $5) AND ($6 = '' OR k.user_id = $6)
           AND (NOT $7 OR k.revoke_time IS NULL)
         ORDER BY k.create_time DESC, k.id DESC LIMIT $1`,
        [
          limit,
          dateOf(after?.createTimeMs),
          after?.id,
          filter?.organizationId ?? "",
          filter?.teamId ?? "",
          filter?.userId ?? "",
          filter?.hideRevoked ?? false,
        ],
      );
      return result.rows.map(mapKeyRow);
    },
    async listChangedKeys(withinMs) {
      const result = await pool.query<KeyRow>(
        `${selectKeys} WHERE k.change_time > clock_timestamp() - $1 * interval '1 millisecond' ORDER BY k.change_time`,
        [withinMs],
      );
      return result.rows.map(mapKeyRow);
    },
    bootstrap: (keys) =>
      withTransaction(
        pool,
        async (client) => {
          // Processes that start together take turns, so that only the first finds no key.
          await client.query("SELECT pg_advisory_xact_lock(hashtextextended('penstock quota bootstrap', 0))");
          const isEmpty = (await client.query("SELECT 1 FROM quota.keys LIMIT 1")).rowCount === 0;
          const adminAdded = keys.given ? await setGivenAdmin(client, keys.admin) : isEmpty;
          if (adminAdded && !keys.given) {
            await insertKey(client, keys.admin);
          }
          if (isEmpty) {
            await insertKey(client, keys.first);
          }
          await client.query("SELECT pg_notify($1, '')", [keyChannel]);
          return { adminAdded, firstAdded: isEmpty };
        },
        { idempotent: false },
      ),
  };
}

/** Reads a key and keeps others from changing it until the transaction ends. */
export function lockKey(client: pg.PoolClient, keyId: string): Promise<StoredKey | undefined> {
  return readKey(client, "k.id = $1 FOR UPDATE OF k", keyId);
}

/** The key that a call has made before, by the admin key that called and the name of the call. */
export async function findKeyOfCall(
  client: pg.PoolClient,
  madeBy: string,
  idempotencyKey: string,
): Promise<StoredKey | undefined> {
  // Calls of one name take turns, so that the second finds what the first has made.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", [`${madeBy}\n${idempotencyKey}`]);
  const { rows } = await client.query<KeyRow>(`${selectKeys} WHERE k.made_by = $1 AND k.idempotency_key = $2`, [
    madeBy,
    idempotencyKey,
  ]);
  return rows[0] === undefined ? undefined : mapKeyRow(rows[0]);
}

/** Adds a key with its budget, and announces it. Rejects when the id, the digest or the call exists. */
export async function insertKey(
  client: pg.PoolClient,
  key: NewKey,
  call: { readonly madeBy: string; readonly idempotencyKey: string } = { madeBy: "", idempotencyKey: "" },
): Promise<StoredKey> {
  await client.query(
    `INSERT INTO quota.keys (id, digest, display_name, organization_id, team_id, allowed_models, requests_per_minute,
       tokens_per_minute, tags, admin, role, user_id, service_account, log_bodies, from_environment, create_time,
       expire_time, made_by, idempotency_key)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, NULLIF($19, ''))`,
    [
      key.id,
      key.digest,
      key.displayName,
      key.organizationId,
      key.teamId,
      key.allowedModels,
      key.requestsPerMinute,
      key.tokensPerMinute,
      JSON.stringify(key.tags),
      key.admin,
      key.role,
      key.userId,
      key.serviceAccount,
      key.logBodies,
      key.fromEnvironment,
      new Date(key.createTimeMs),
      dateOf(key.expireTimeMs),
      call.madeBy,
      call.idempotencyKey,
    ],
  );
  await setBudget(client, key.id, key.budgetNanosUsd);
  await announceKey(client, key.id);
  return { ...key, revokeTimeMs: undefined, disableTimeMs: undefined, previous: undefined, revision: 1n };
}

/**
 * Replaces everything that can change in a key, which this transaction has locked, and announces it. A budget that is
 * taken away and given again continues with what it has spent.
 */
export async function saveKey(client: pg.PoolClient, key: StoredKey): Promise<StoredKey> {
  const { rows } = await client.query<{ revision: bigint }>(
    `UPDATE quota.keys SET digest = $2, display_name = $3, organization_id = $4, team_id = $5, allowed_models = $6,
       requests_per_minute = $7, tokens_per_minute = $8, tags = $9, role = $10, user_id = $11, service_account = $12,
       log_bodies = $13, expire_time = $14, revoke_time = $15, disable_time = $16, previous_digest = $17,
       previous_expire_time = $18, change_time = clock_timestamp(), revision = revision + 1
     WHERE id = $1 RETURNING revision`,
    [
      key.id,
      key.digest,
      key.displayName,
      key.organizationId,
      key.teamId,
      key.allowedModels,
      key.requestsPerMinute,
      key.tokensPerMinute,
      JSON.stringify(key.tags),
      key.role,
      key.userId,
      key.serviceAccount,
      key.logBodies,
      dateOf(key.expireTimeMs),
      dateOf(key.revokeTimeMs),
      dateOf(key.disableTimeMs),
      key.previous?.digest,
      dateOf(key.previous?.expireTimeMs),
    ],
  );
  const [row] = rows;
  if (row === undefined) {
    throw new Error("a key that was locked is not there");
  }
  await setBudget(client, key.id, key.budgetNanosUsd);
  await announceKey(client, key.id);
  return { ...key, revision: row.revision };
}

async function announceKey(client: pg.PoolClient, keyId: string): Promise<void> {
  await client.query("SELECT pg_notify($1, $2)", [keyChannel, keyId]);
}

async function readKey(
  client: Pick<pg.Pool, "query"> | pg.PoolClient,
  condition: string,
  value: string | Uint8Array,
): Promise<StoredKey | undefined> {
  const result = await client.query<KeyRow>(`${selectKeys} WHERE ${condition}`, [value]);
  const [row] = result.rows;
  return row === undefined ? undefined : mapKeyRow(row);
}

async function setBudget(client: pg.PoolClient, keyId: string, limitNanosUsd: bigint | undefined): Promise<void> {
  if (limitNanosUsd === undefined) {
    await client.query("UPDATE quota.budgets SET limit_nanos = NULL, version = version + 1 WHERE id = $1", [
      keyBudgetId(keyId),
    ]);
    return;
  }
  await client.query(
    `INSERT INTO quota.budgets (id, scope_kind, scope_id, limit_nanos) VALUES ($1, 'key', $2, $3)
     ON CONFLICT (id) DO UPDATE SET limit_nanos = EXCLUDED.limit_nanos, version = budgets.version + 1`,
    [keyBudgetId(keyId), keyId, limitNanosUsd],
  );
}

/** Makes the given admin key valid, and those given before it not. Returns whether it was added. */
async function setGivenAdmin(client: pg.PoolClient, admin: NewKey): Promise<boolean> {
  await client.query(
    `UPDATE quota.keys SET revoke_time = $2, change_time = clock_timestamp(), revision = revision + 1
     WHERE from_environment AND revoke_time IS NULL AND digest <> $1`,
    [admin.digest, new Date(admin.createTimeMs)],
  );
  const known = await client.query<{ admin: boolean; is_valid: boolean; id: string }>(
    `SELECT id, admin AND organization_id = '' AND team_id = '' AND role = 'owner' AS admin,
       revoke_time IS NULL AND disable_time IS NULL AND (expire_time IS NULL OR expire_time > now()) AS is_valid
     FROM quota.keys WHERE digest = $1`,
    [admin.digest],
  );
  const [key] = known.rows;
  if (key === undefined) {
    await insertKey(client, admin);
    return true;
  }
  if (!key.admin || !key.is_valid) {
    await client.query(
      `UPDATE quota.keys SET admin = true, role = 'owner', organization_id = '', team_id = '', from_environment = true,
         revoke_time = NULL, disable_time = NULL, expire_time = NULL, change_time = clock_timestamp(), revision = revision + 1
       WHERE id = $1`,
      [key.id],
    );
  }
  return false;
}

function mapKeyRow(row: KeyRow): StoredKey {
  return {
    id: row.id,
    digest: new Uint8Array(row.digest),
    displayName: row.display_name,
    organizationId: row.organization_id,
    teamId: row.team_id,
    allowedModels: row.allowed_models,
    requestsPerMinute: row.requests_per_minute ?? undefined,
    tokensPerMinute: row.tokens_per_minute ?? undefined,
    budgetNanosUsd: row.limit_nanos ?? undefined,
    tags: row.tags,
    admin: row.admin,
    role: row.role ?? undefined,
    userId: row.user_id,
    serviceAccount: row.service_account,
    logBodies: row.log_bodies,
    fromEnvironment: row.from_environment,
    createTimeMs: row.create_time.getTime(),
    expireTimeMs: row.expire_time?.getTime(),
    revokeTimeMs: row.revoke_time?.getTime(),
    disableTimeMs: row.disable_time?.getTime(),
    previous:
      row.previous_digest === null || row.previous_expire_time === null
        ? undefined
        : { digest: new Uint8Array(row.previous_digest), expireTimeMs: row.previous_expire_time.getTime() },
    revision: row.revision,
  };
}

function dateOf(timeMs: number | undefined): Date | null {
  return timeMs === undefined ? null : new Date(timeMs);
}
