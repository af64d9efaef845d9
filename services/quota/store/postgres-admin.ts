import type { JsonObject } from "@bufbuild/protobuf";
import type pg from "pg";
import type { Role } from "#kit/auth/actor.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";
import type { AdminStore, AdminTransaction, AuditFilter, AuditRecord, StoredAuditRecord } from "./admin-store.ts";
import { findKeyOfCall, insertKey, lockKey, saveKey } from "./postgres-keys.ts";
import { changeLimits, listStoredLimits, readBudgetUsage } from "./postgres-limits.ts";
import { changeTenants, type Queryable, readTenants } from "./postgres-tenants.ts";

interface AuditRow {
  readonly id: bigint;
  readonly time: Date;
  readonly actor_key_id: string;
  readonly actor_user_id: string;
  readonly actor_role: Role | null;
  readonly method: string;
  readonly target_kind: string;
  readonly target_id: string;
  readonly organization_id: string;
  readonly team_id: string;
  readonly before: JsonObject | null;
  readonly after: JsonObject | null;
  readonly request_id: string;
}

/** Makes the store of tenants, limits and the audit log in Postgres; the schema `quota` is migrated. */
export function createPostgresAdminStore(deps: { readonly pool: pg.Pool }): AdminStore {
  const { pool } = deps;
  return {
    ...readTenants(pool),
    change: (work) => withTransaction(pool, (client) => work(createTransaction(client)), { idempotent: false }),
    readBudgetUsage: (query) => readBudgetUsage(pool, query),
    listLimits: () => listStoredLimits(pool),
    listAudit: (filter) => listAudit(pool, filter),
  };
}

function createTransaction(client: pg.PoolClient): AdminTransaction {
  return {
    ...changeTenants(client),
    ...changeLimits(client),
    getKey: (keyId) => lockKey(client, keyId),
    findKeyOfCall: (madeBy, idempotencyKey) => findKeyOfCall(client, madeBy, idempotencyKey),
    insertKey: (key, call) => insertKey(client, key, call),
    saveKey: (key) => saveKey(client, key),
    async keyIdsOfUser(userId) {
      const { rows } = await client.query<{ id: string }>(
        `SELECT id FROM quota.keys WHERE user_id = $1 AND NOT service_account AND revoke_time IS NULL ORDER BY id`,
        [userId],
      );
      return rows.map((row) => row.id);
    },
    record: (record) => insertAudit(client, record),
  };
}

async function insertAudit(client: Queryable, record: AuditRecord): Promise<void> {
  await client.query(
    `INSERT INTO quota.audit (actor_key_id, actor_user_id, actor_role, method, target_kind, target_id, organization_id,
       team_id, before, after, request_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      record.actorKeyId,
      record.actorUserId,
      record.actorRole,
      record.method,
      record.targetKind,
      record.targetId,
      record.organizationId,
      record.teamId,
      record.before === undefined ? null : JSON.stringify(record.before),
      record.after === undefined ? null : JSON.stringify(record.after),
      record.requestId,
    ],
  );
}

async function listAudit(client: Queryable, filter: AuditFilter): Promise<readonly StoredAuditRecord[]> {
  const { rows } = await client.query<AuditRow>(
    `SELECT id, time, actor_key_id, actor_user_id, actor_role, method, target_kind, target_id, organization_id, team_id,
       before, after, request_id
     FROM quota.audit
     WHERE ($2::bigint IS NULL OR id < $2) AND ($3 = '' OR organization_id = $3) AND ($4 = '' OR team_id = $4)
       AND ($5 = '' OR target_kind = $5) AND ($6 = '' OR target_id = $6) AND ($7 = '' OR actor_key_id = $7)
     ORDER BY id DESC LIMIT $1`,
    [
      filter.limit,
      filter.beforeId,
      filter.organizationId,
      filter.teamId,
      filter.targetKind,
      filter.targetId,
      filter.actorKeyId,
    ],
  );
  return rows.map((row) => ({
    id: row.id,
    timeMs: row.time.getTime(),
    actorKeyId: row.actor_key_id,
    actorUserId: row.actor_user_id,
    actorRole: row.actor_role ?? undefined,
    method: row.method,
    targetKind: row.target_kind,
    targetId: row.target_id,
    organizationId: row.organization_id,
    teamId: row.team_id,
    before: row.before ?? undefined,
    after: row.after ?? undefined,
    requestId: row.request_id,
  }));
}
