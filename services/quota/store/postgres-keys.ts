import type pg from "pg";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
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
  readonly create_time: Date;
  readonly expire_time: Date | null;
  readonly revoke_time: Date | null;
  readonly revision: bigint;
}

const selectKeys = `SELECT k.id, k.digest, k.display_name, k.organization_id, k.team_id, k.allowed_models,
  k.requests_per_minute, k.tokens_per_minute, b.limit_nanos, k.tags, k.admin, k.create_time, k.expire_time,
  k.revoke_time, k.revision
  FROM quota.keys k LEFT JOIN quota.budgets b ON b.scope_kind = 'key' AND b.scope_id = k.id`;

/** The channel on which changed keys are announced; the payload is the key's id. */
export const keyChannel = "penstock_quota_keys";

/** Makes the store of keys in Postgres; the schema `quota` is migrated. */
export function createPostgresKeyStore(deps: { readonly pool: pg.Pool }): KeyStore {
  const { pool } = deps;

  /** Runs a change of one key, and announces it when it happened. */
  const change = (work: (client: pg.PoolClient) => Promise<string | undefined>): Promise<StoredKey | undefined> =>
    withTransaction(
      pool,
      async (client) => {
        const keyId = await work(client);
        if (keyId === undefined) {
          return undefined;
        }
        await client.query("SELECT pg_notify($1, $2)", [keyChannel, keyId]);
        return readKey(client, "k.id = $1", keyId);
      },
      { idempotent: true },
    );

  return {
    async insertKey(key) {
      const stored = await change(async (client) => {
        await insertKey(client, key, false);
        return key.id;
      });
      if (stored === undefined) {
        throw new Error("a key that was inserted is not there");
      }
      return stored;
    },
    updateKey: (keyId, settings) =>
      change(async (client) => {
        const result = await client.query(
          `UPDATE quota.keys SET display_name = $2, team_id = $3, allowed_models = $4, requests_per_minute = $5,
             tokens_per_minute = $6, tags = $7, expire_time = $8, change_time = clock_timestamp(),
             revision = revision + 1
           WHERE id = $1`,
          [
            keyId,
            settings.displayName,
            settings.teamId,
            settings.allowedModels,
            settings.requestsPerMinute,
            settings.tokensPerMinute,
            JSON.stringify(settings.tags),
            dateOf(settings.expireTimeMs),
          ],
        );
        if (result.rowCount !== 1) {
          return undefined;
        }
        await setBudget(client, keyId, settings.budgetNanosUsd);
        return keyId;
      }),
    revokeKey: (keyId, nowMs) =>
      change(async (client) => {
        const result = await client.query(
          `UPDATE quota.keys SET revoke_time = coalesce(revoke_time, $2), change_time = clock_timestamp(),
             revision = revision + 1
           WHERE id = $1`,
          [keyId, new Date(nowMs)],
        );
        return result.rowCount === 1 ? keyId : undefined;
      }),
    getKey: (keyId) => readKey(pool, "k.id = $1", keyId),
    findKeyByDigest: (digest) => readKey(pool, "k.digest = $1", digest),
    async listKeys(limit, after) {
      const result = await pool.query<KeyRow>(
        `${selectKeys} WHERE $2::timestamptz IS NULL OR (k.create_time, k.id) < ($2, $3)
         ORDER BY k.create_time DESC, k.id DESC LIMIT $1`,
        [limit, dateOf(after?.createTimeMs), after?.id],
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
            await insertKey(client, keys.admin, false);
          }
          if (isEmpty) {
            await insertKey(client, keys.first, false);
          }
          await client.query("SELECT pg_notify($1, '')", [keyChannel]);
          return { adminAdded, firstAdded: isEmpty };
        },
        { idempotent: false },
      ),
  };
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

async function insertKey(client: pg.PoolClient, key: NewKey, fromEnvironment: boolean): Promise<void> {
  await client.query(
    `INSERT INTO quota.keys (id, digest, display_name, organization_id, team_id, allowed_models, requests_per_minute,
       tokens_per_minute, tags, admin, from_environment, create_time, expire_time)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
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
      fromEnvironment,
      new Date(key.createTimeMs),
      dateOf(key.expireTimeMs),
    ],
  );
  await setBudget(client, key.id, key.budgetNanosUsd);
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
    `SELECT id, admin, revoke_time IS NULL AND (expire_time IS NULL OR expire_time > now()) AS is_valid
     FROM quota.keys WHERE digest = $1`,
    [admin.digest],
  );
  const [key] = known.rows;
  if (key === undefined) {
    await insertKey(client, admin, true);
    return true;
  }
  if (!key.admin || !key.is_valid) {
    await client.query(
      `UPDATE quota.keys SET admin = true, from_environment = true, revoke_time = NULL, expire_time = NULL,
         change_time = clock_timestamp(), revision = revision + 1
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
    createTimeMs: row.create_time.getTime(),
    expireTimeMs: row.expire_time?.getTime(),
    revokeTimeMs: row.revoke_time?.getTime(),
    revision: row.revision,
  };
}

function dateOf(timeMs: number | undefined): Date | null {
  return timeMs === undefined ? null : new Date(timeMs);
}
