import type pg from "pg";
import type { Role } from "#kit/auth/actor.ts";
import type {
  AdminStore,
  AdminTransaction,
  StoredMembership,
  StoredOrganization,
  StoredTeam,
  StoredUser,
} from "./admin-store.ts";

/** What a statement can be run on. */
export type Queryable = Pick<pg.PoolClient, "query">;

interface OrganizationRow {
  readonly id: string;
  readonly display_name: string;
  readonly create_time: Date;
}

interface TeamRow extends OrganizationRow {
  readonly organization_id: string;
}

interface UserRow extends TeamRow {
  readonly email: string;
  readonly memberships: readonly { readonly organization_id: string; readonly team_id: string; readonly role: Role }[];
}

const selectOrganizations = "SELECT id, display_name, create_time FROM quota.organizations WHERE delete_time IS NULL";
const selectTeams = "SELECT id, organization_id, display_name, create_time FROM quota.teams WHERE delete_time IS NULL";
const selectUsers = `SELECT u.id, u.organization_id, u.display_name, u.create_time, u.email,
  coalesce((SELECT jsonb_agg(jsonb_build_object('organization_id', m.organization_id, 'team_id', m.team_id, 'role', m.role)
              ORDER BY m.organization_id, m.team_id)
            FROM quota.memberships m WHERE m.user_id = u.id), '[]') AS memberships
  FROM quota.users u WHERE u.delete_time IS NULL`;

/** The part of the store that lists and reads organisations, teams and users. */
export function readTenants(
  client: Queryable,
): Pick<AdminStore, "getOrganization" | "listOrganizations" | "getTeam" | "listTeams" | "getUser" | "listUsers"> {
  return {
    getOrganization: (id) => getOrganization(client, id, ""),
    async listOrganizations({ limit, afterId }, only) {
      const { rows } = await client.query<OrganizationRow>(
        `${selectOrganizations} AND id > $2 AND ($3 = '' OR id = $3) ORDER BY id LIMIT $1`,
        [limit, afterId, only],
      );
      return rows.map(mapOrganization);
    },
    getTeam: (id) => getTeam(client, id, ""),
    async listTeams({ limit, afterId }, { organizationId, teamId }) {
      const { rows } = await client.query<TeamRow>(
        `${selectTeams} AND id > $2 AND ($3 = '' OR organization_id = $3) AND ($4 = '' OR id = $4) ORDER BY id LIMIT $1`,
        [limit, afterId, organizationId, teamId],
      );
      return rows.map(mapTeam);
    },
    getUser: (id) => getUser(client, id, ""),
    async listUsers({ limit, afterId }, { organizationId, teamId }) {
      const { rows } = await client.query<UserRow>(
        `${selectUsers} AND u.id > $2 AND ($3 = '' OR u.organization_id = $3)
           AND ($4 = '' OR EXISTS (SELECT FROM quota.memberships m WHERE m.user_id = u.id AND m.team_id = $4))
         ORDER BY u.id LIMIT $1`,
        [limit, afterId, organizationId, teamId],
      );
      return rows.map(mapUser);
    },
  };
}

type TenantMethods =
  | "getOrganization"
  | "insertOrganization"
  | "renameOrganization"
  | "deleteOrganization"
  | "getTeam"
  | "insertTeam"
  | "renameTeam"
  | "deleteTeam"
  | "getUser"
  | "insertUser"
  | "saveUser"
  | "deleteUser"
  | "setMembership"
  | "removeMembership";

/** The part of a transaction that changes organisations, teams and users. */
export function changeTenants(client: Queryable): Pick<AdminTransaction, TenantMethods> {
  const run = async (text: string, values: readonly unknown[]): Promise<boolean> => {
    const { rowCount } = await client.query(text, [...values]);
    return rowCount !== 0;
  };
  const setMembership: AdminTransaction["setMembership"] = async (userId, { organizationId, teamId, role }) => {
    await run(
      `INSERT INTO quota.memberships (user_id, organization_id, team_id, role) VALUES ($1, $2, $3, $4)
       ON CONFLICT (user_id, organization_id, team_id) DO UPDATE SET role = EXCLUDED.role`,
      [userId, organizationId, teamId, role],
    );
  };
  return {
    // What is to belong to an organisation or a team keeps it from being deleted meanwhile.
    getOrganization: (id) => getOrganization(client, id, "FOR UPDATE"),
    insertOrganization: ({ id, displayName, createTimeMs }) =>
      run(
        "INSERT INTO quota.organizations (id, display_name, create_time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [id, displayName, new Date(createTimeMs)],
      ),
    async renameOrganization(id, displayName) {
      await run("UPDATE quota.organizations SET display_name = $2 WHERE id = $1", [id, displayName]);
    },
    deleteOrganization: (id, nowMs) =>
      run(
        `UPDATE quota.organizations SET delete_time = $2 WHERE id = $1
           AND NOT EXISTS (SELECT FROM quota.teams WHERE organization_id = $1 AND delete_time IS NULL)
           AND NOT EXISTS (SELECT FROM quota.keys WHERE organization_id = $1 AND revoke_time IS NULL)`,
        [id, new Date(nowMs)],
      ),
    getTeam: (id) => getTeam(client, id, "FOR UPDATE"),
    insertTeam: ({ id, organizationId, displayName, createTimeMs }) =>
      run(
        `INSERT INTO quota.teams (id, organization_id, display_name, create_time) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING`,
        [id, organizationId, displayName, new Date(createTimeMs)],
      ),
    async renameTeam(id, displayName) {
      await run("UPDATE quota.teams SET display_name = $2 WHERE id = $1", [id, displayName]);
    },
    deleteTeam: (id, nowMs) =>
      run(
        `UPDATE quota.teams SET delete_time = $2 WHERE id = $1
           AND NOT EXISTS (SELECT FROM quota.keys WHERE team_id = $1 AND revoke_time IS NULL)`,
        [id, new Date(nowMs)],
      ),
    getUser: (id) => getUser(client, id, "FOR UPDATE OF u"),
    async insertUser(user) {
      const { id, organizationId, email, displayName, createTimeMs } = user;
      const isNew = await run(
        `INSERT INTO quota.users (id, organization_id, email, display_name, create_time) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING`,
        [id, organizationId, email, displayName, new Date(createTimeMs)],
      );
      for (const membership of isNew ? user.memberships : []) {
        await setMembership(id, membership);
      }
      return isNew;
    },
    saveUser: ({ id, email, displayName, organizationId }) =>
      run(
        `UPDATE quota.users SET email = $2, display_name = $3 WHERE id = $1 AND NOT EXISTS (
           SELECT FROM quota.users WHERE organization_id = $4 AND lower(email) = lower($2) AND id <> $1
             AND delete_time IS NULL)`,
        [id, email, displayName, organizationId],
      ),
    async deleteUser(id, nowMs) {
      await run("DELETE FROM quota.memberships WHERE user_id = $1", [id]);
      await run("UPDATE quota.users SET delete_time = $2 WHERE id = $1", [id, new Date(nowMs)]);
    },
    setMembership,
    async removeMembership(userId, { organizationId, teamId }) {
      await run("DELETE FROM quota.memberships WHERE user_id = $1 AND organization_id = $2 AND team_id = $3", [
        userId,
        organizationId,
        teamId,
      ]);
    },
  };
}

async function getOrganization(client: Queryable, id: string, lock: string): Promise<StoredOrganization | undefined> {
  const { rows } = await client.query<OrganizationRow>(`${selectOrganizations} AND id = $1 ${lock}`, [id]);
  return rows.map(mapOrganization)[0];
}

async function getTeam(client: Queryable, id: string, lock: string): Promise<StoredTeam | undefined> {
  const { rows } = await client.query<TeamRow>(`${selectTeams} AND id = $1 ${lock}`, [id]);
  return rows.map(mapTeam)[0];
}

async function getUser(client: Queryable, id: string, lock: string): Promise<StoredUser | undefined> {
  const { rows } = await client.query<UserRow>(`${selectUsers} AND u.id = $1 ${lock}`, [id]);
  return rows.map(mapUser)[0];
}

function mapOrganization(row: OrganizationRow): StoredOrganization {
  return { id: row.id, displayName: row.display_name, createTimeMs: row.create_time.getTime() };
}

function mapTeam(row: TeamRow): StoredTeam {
  return { ...mapOrganization(row), organizationId: row.organization_id };
}

function mapUser(row: UserRow): StoredUser {
  const memberships = row.memberships.map(
    ({ organization_id: organizationId, team_id: teamId, role }): StoredMembership => ({
      organizationId,
      teamId,
      role,
    }),
  );
  return { ...mapTeam(row), email: row.email, memberships };
}
