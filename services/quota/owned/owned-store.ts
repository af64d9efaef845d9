import type pg from "pg";
import type { ObjectKind } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { withTransaction } from "#kit/postgres/with-transaction.ts";

/** Who asks: a team of an organisation, or a key without a team. */
export interface StoredOwner {
  readonly organizationId: string;
  /** Empty when there is none. */
  readonly teamId: string;
  readonly keyId: string;
}

/** A thing that a provider keeps, as the table has it. */
export interface StoredObject {
  readonly id: string;
  readonly kind: ObjectKind;
  readonly owner: StoredOwner;
  readonly provider: string;
  readonly providerId: string;
  readonly model: string;
  readonly purpose: string;
  readonly descriptionJson: string;
  readonly itemIds: readonly string[];
  readonly contextTokens: bigint | undefined;
  readonly usageAttemptId: string;
  /** Unix milliseconds. */
  readonly createTimeMs: number;
  /** Unix milliseconds; undefined when it does not end. */
  readonly expireTimeMs: number | undefined;
}

/** Which page of a list is wanted. */
export interface ListedPage {
  readonly kind: ObjectKind;
  /** Empty lists all. */
  readonly purpose: string;
  /** The last thing of the page before. */
  readonly after: StoredObject | undefined;
  readonly limit: number;
  readonly ascending: boolean;
}

/** Keeps whose things are. What has expired is never found. */
export interface OwnedStore {
  /** Idempotent on kind, provider and provider's id. Undefined when it is another owner's. */
  put(object: StoredObject): Promise<StoredObject | undefined>;
  find(owner: StoredOwner, kind: ObjectKind, ids: readonly string[]): Promise<readonly StoredObject[]>;
  /** Things of one provider by its own ids. */
  findAtProvider(
    owner: StoredOwner,
    kind: ObjectKind,
    provider: string,
    providerIds: readonly string[],
  ): Promise<readonly StoredObject[]>;
  /** The things that these belong to. */
  findByItems(owner: StoredOwner, kind: ObjectKind, itemIds: readonly string[]): Promise<readonly StoredObject[]>;
  list(owner: StoredOwner, page: ListedPage): Promise<readonly StoredObject[]>;
  delete(owner: StoredOwner, kind: ObjectKind, id: string): Promise<void>;
  /** Removes what has expired, at most so many; returns how many were removed. */
  deleteExpired(limit: number): Promise<number>;
}

interface ObjectRow {
  readonly id: string;
  readonly kind: ObjectKind;
  readonly provider: string;
  readonly provider_id: string;
  readonly organization_id: string;
  readonly team_id: string;
  readonly key_id: string;
  readonly model: string;
  readonly purpose: string;
  readonly description_json: string;
  readonly item_ids: readonly string[];
  readonly context_tokens: bigint | null;
  readonly usage_attempt_id: string;
  readonly create_time: Date;
  readonly expire_time: Date | null;
}

const columns = `id, kind, provider, provider_id, organization_id, team_id, key_id, model, purpose, description_json,
  item_ids, context_tokens, usage_attempt_id, create_time, expire_time`;

/** Parameters 1 to 3 are the owner: a key without a team owns what it made itself. */
const isOwned = `organization_id = $1 AND team_id = $2 AND ($2 <> '' OR key_id = $3)`;
const isAlive = `(expire_time IS NULL OR expire_time > clock_timestamp())`;

/** Makes the store in Postgres; the schema `owned` is migrated. */
export function createPostgresOwnedStore(deps: { readonly pool: pg.Pool }): OwnedStore {
  const { pool } = deps;

  async function select(where: string, values: readonly unknown[]): Promise<readonly StoredObject[]> {
    const result = await pool.query<ObjectRow>(`SELECT ${columns} FROM owned.objects WHERE ${where}`, [...values]);
    return result.rows.map(mapRow);
  }

  return {
    async put(object) {
      const { owner } = object;
      const result = await pool.query<ObjectRow>(
        // What is not told again stays: a later answer may leave out what an earlier one had.
        `INSERT INTO owned.objects AS o (organization_id, team_id, key_id, kind, provider, provider_id, id, model, purpose,
           description_json, item_ids, context_tokens, usage_attempt_id, create_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (kind, provider, provider_id) DO UPDATE SET
           model = CASE WHEN excluded.model = '' THEN o.model ELSE excluded.model END,
           purpose = CASE WHEN excluded.purpose = '' THEN o.purpose ELSE excluded.purpose END,
           description_json =
             CASE WHEN excluded.description_json = '' THEN o.description_json ELSE excluded.description_json END,
           item_ids = CASE WHEN cardinality(excluded.item_ids) = 0 THEN o.item_ids ELSE excluded.item_ids END,
           context_tokens = coalesce(excluded.context_tokens, o.context_tokens),
           expire_time = coalesce(excluded.expire_time, o.expire_time)
         WHERE o.organization_id = $1 AND o.team_id = $2 AND ($2 <> '' OR o.key_id = $3)
         RETURNING ${columns}`,
        [
          ...ownerValues(owner),
          object.kind,
          object.provider,
          object.providerId,
          object.id,
          object.model,
          object.purpose,
          object.descriptionJson,
          object.itemIds,
          object.contextTokens ?? null,
          object.usageAttemptId,
          new Date(object.createTimeMs),
          object.expireTimeMs === undefined ? null : new Date(object.expireTimeMs),
        ],
      );
      const [row] = result.rows;
      return row === undefined ? undefined : mapRow(row);
    },
    find: (owner, kind, ids) =>
      select(`${isOwned} AND ${isAlive} AND kind = $4 AND id = ANY($5) ORDER BY create_time`, [
        ...ownerValues(owner),
        kind,
        ids,
      ]),
    findAtProvider: (owner, kind, provider, providerIds) =>
      select(`${isOwned} AND ${isAlive} AND kind = $4 AND provider = $5 AND provider_id = ANY($6)`, [
        ...ownerValues(owner),
        kind,
        provider,
        providerIds,
      ]),
    findByItems: (owner, kind, itemIds) =>
      select(`${isOwned} AND ${isAlive} AND kind = $4 AND item_ids && $5::text[] ORDER BY create_time`, [
        ...ownerValues(owner),
        kind,
        itemIds,
      ]),
    list: (owner, page) => {
      const [direction, follows] = page.ascending ? ["ASC", ">"] : ["DESC", "<"];
      return select(
        `${isOwned} AND ${isAlive} AND kind = $4 AND ($5 = '' OR purpose = $5)
           AND ($6::timestamptz IS NULL OR (create_time, id) ${follows} ($6, $7))
         ORDER BY create_time ${direction}, id ${direction} LIMIT $8`,
        [
          ...ownerValues(owner),
          page.kind,
          page.purpose,
          page.after === undefined ? null : new Date(page.after.createTimeMs),
          page.after?.id ?? "",
          page.limit,
        ],
      );
    },
    async delete(owner, kind, id) {
      await pool.query(`DELETE FROM owned.objects WHERE ${isOwned} AND kind = $4 AND id = $5`, [
        ...ownerValues(owner),
        kind,
        id,
      ]);
    },
    deleteExpired: (limit) =>
      withTransaction(
        pool,
        async (client) => {
          const result = await client.query(
            `DELETE FROM owned.objects WHERE (kind, provider, provider_id) IN (
               SELECT kind, provider, provider_id FROM owned.objects WHERE expire_time <= clock_timestamp()
               ORDER BY expire_time LIMIT $1 FOR UPDATE SKIP LOCKED)`,
            [limit],
          );
          return result.rowCount ?? 0;
        },
        { idempotent: true },
      ),
  };
}

function ownerValues(owner: StoredOwner): readonly [string, string, string] {
  return [owner.organizationId, owner.teamId, owner.keyId];
}

function mapRow(row: ObjectRow): StoredObject {
  return {
    id: row.id,
    kind: row.kind,
    owner: { organizationId: row.organization_id, teamId: row.team_id, keyId: row.key_id },
    provider: row.provider,
    providerId: row.provider_id,
    model: row.model,
    purpose: row.purpose,
    descriptionJson: row.description_json,
    itemIds: row.item_ids,
    contextTokens: row.context_tokens ?? undefined,
    usageAttemptId: row.usage_attempt_id,
    createTimeMs: row.create_time.getTime(),
    expireTimeMs: row.expire_time?.getTime(),
  };
}
