import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Membership, type User, UserSchema, type UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Actor } from "#kit/auth/actor.ts";
import { roleOfValue, roleValue } from "#kit/auth/role-values.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { Quota } from "../quota.ts";
import type { AdminTransaction, Place, StoredMembership, StoredUser } from "../store/admin-store.ts";
import type { StoredKey } from "../store/store.ts";
import { auditOf, type Caller, callerOf, isInScope, narrow, requireGrant } from "./caller.ts";
import { auditKey } from "./key-messages.ts";
import type { TenantServiceDeps } from "./organization-service.ts";
import { invalid, pageOf, readIdToken, readNewId, readPageSize, readText, stored } from "./read-fields.ts";

/** What the service works with. */
export interface UserServiceDeps extends TenantServiceDeps {
  readonly quota: Quota;
}

/** Manages users and their roles. What a role may do at all is checked before: `kit/auth/permissions.ts`. */
export function createUserService(deps: UserServiceDeps): ServiceImpl<typeof UserService> {
  const { admin, wallClock, quota } = deps;

  /** Changes one user that the caller sees. `work` gives the user unchanged where there was nothing to do. */
  const change = async (
    context: HandlerContext,
    userId: string,
    work: (before: StoredUser, transaction: AdminTransaction, caller: Caller) => Promise<StoredUser>,
  ): Promise<{ user: User }> => {
    const caller = callerOf(context);
    const user = await stored(
      admin.change(async (transaction) => {
        const before = seenUser(caller.actor, await transaction.getUser(userId));
        const after = await work(before, transaction, caller);
        if (after !== before) {
          await transaction.record(auditOf(caller, targetOf(after), audited(before), audited(after)));
        }
        return after;
      }),
    );
    return { user: mapUser(user, caller.actor) };
  };

  return {
    async createUser(req, context) {
      const caller = callerOf(context);
      const { actor } = caller;
      const wanted = req.user;
      const organizationId = wanted?.organizationId || actor.organizationId;
      const user: StoredUser = {
        id: readNewId("user.id", wanted?.id ?? ""),
        organizationId,
        displayName: readText("user.display_name", wanted?.displayName ?? ""),
        email: readEmail(wanted?.email ?? ""),
        memberships: (wanted?.memberships ?? []).map(readMembership),
        createTimeMs: wallClock(),
      };
      for (const membership of user.memberships) {
        requireGrant(actor, membership.role, membership);
      }
      if (actor.teamId !== "" && !user.memberships.some(({ teamId }) => teamId === actor.teamId)) {
        throw gatewayError(ErrorReason.PERMISSION_DENIED, "An admin of one team makes users of that team.");
      }
      await stored(
        admin.change(async (transaction) => {
          const isSeen = actor.organizationId === "" || actor.organizationId === organizationId;
          const isThere = organizationId === "" || (await transaction.getOrganization(organizationId)) !== undefined;
          if (!isSeen || !isThere) {
            throw invalid("user.organization_id", "is not an organisation");
          }
          for (const membership of user.memberships) {
            await requirePlace(transaction, user, membership);
          }
          if (!(await transaction.insertUser(user))) {
            throw invalid("user", "has an id that was used before, or the e-mail address of another");
          }
          await transaction.record(auditOf(caller, targetOf(user), undefined, audited(user)));
        }),
      );
      return { user: mapUser(user, actor) };
    },
    async getUser(req, context) {
      const { actor } = callerOf(context);
      return { user: mapUser(seenUser(actor, await stored(admin.getUser(req.userId))), actor) };
    },
    async listUsers(req, context) {
      const { actor } = callerOf(context);
      const place = narrow(actor, req);
      const pageSize = readPageSize(req.pageSize);
      const afterId = readIdToken(req.pageToken);
      if (place === undefined) {
        return { users: [], nextPageToken: "" };
      }
      const found = await stored(admin.listUsers({ limit: pageSize + 1, afterId }, place));
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [last.id]);
      return { users: page.map((user) => mapUser(user, actor)), nextPageToken };
    },
    updateUser(req, context) {
      const displayName = readText("user.display_name", req.user?.displayName ?? "");
      const email = readEmail(req.user?.email ?? "");
      return change(context, req.user?.id ?? "", async (before, transaction, { actor }) => {
        requireOfOrganization(actor, before);
        if (before.displayName === displayName && before.email === email) {
          return before;
        }
        const after = { ...before, displayName, email };
        if (!(await transaction.saveUser(after))) {
          throw invalid("user.email", "is that of another user");
        }
        return after;
      });
    },
    async deleteUser(req, context) {
      const caller = callerOf(context);
      const revoked = await stored(
        admin.change(async (transaction) => {
          const before = seenUser(caller.actor, await transaction.getUser(req.userId));
          requireOfOrganization(caller.actor, before);
          const keys: StoredKey[] = [];
          for (const keyId of await transaction.keyIdsOfUser(before.id)) {
            const key = await transaction.getKey(keyId);
            if (key !== undefined && key.revokeTimeMs === undefined) {
              const saved = await transaction.saveKey({ ...key, revokeTimeMs: wallClock() });
              const target = {
                kind: "key",
                id: key.id,
                organizationId: key.organizationId,
                teamId: key.teamId,
              } as const;
              await transaction.record(auditOf(caller, target, auditKey(key), auditKey(saved)));
              keys.push(saved);
            }
          }
          await transaction.deleteUser(before.id, wallClock());
          await transaction.record(auditOf(caller, targetOf(before), audited(before), undefined));
          return keys;
        }),
      );
      for (const key of revoked) {
        quota.directory.put(key);
      }
      return { revokedKeyIds: revoked.map((key) => key.id) };
    },
    setMembership(req, context) {
      const membership = readMembership(req.membership);
      return change(context, req.userId, async (before, transaction, { actor }) => {
        requireGrant(actor, membership.role, membership);
        const { others, current } = splitMemberships(before, membership);
        if (current?.role === membership.role) {
          return before;
        }
        if (current !== undefined) {
          requireGrant(actor, current.role, membership);
        }
        await requirePlace(transaction, before, membership);
        await transaction.setMembership(before.id, membership);
        return { ...before, memberships: [...others, membership] };
      });
    },
    removeMembership(req, context) {
      return change(context, req.userId, async (before, transaction, { actor }) => {
        const { others, current } = splitMemberships(before, req);
        if (current === undefined) {
          return before;
        }
        requireGrant(actor, current.role, current);
        await transaction.removeMembership(before.id, current);
        return { ...before, memberships: others };
      });
    },
  };
}

/** A user that the caller sees: one of its organisation, with a role in its team. Throws NOT_FOUND otherwise. */
function seenUser(actor: Actor, user: StoredUser | undefined): StoredUser {
  const isSeen =
    user !== undefined &&
    (actor.organizationId === "" || actor.organizationId === user.organizationId) &&
    (actor.teamId === "" || user.memberships.some(({ teamId }) => teamId === actor.teamId));
  if (!isSeen) {
    throw gatewayError(ErrorReason.NOT_FOUND, "no such user");
  }
  return user;
}

/** Throws PERMISSION_DENIED where a caller may not change who a user is: in one team, or below the user's own roles. */
function requireOfOrganization(actor: Actor, user: StoredUser): void {
  if (actor.teamId !== "") {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, "An admin of one team cannot change users of the organisation.");
  }
  for (const membership of user.memberships) {
    requireGrant(actor, membership.role, membership);
  }
}

async function requirePlace(
  transaction: AdminTransaction,
  user: StoredUser,
  { organizationId, teamId }: Place,
): Promise<void> {
  if (user.organizationId !== "" && user.organizationId !== organizationId) {
    throw invalid("membership.organization_id", "is not that of the user");
  }
  if (organizationId !== "" && (await transaction.getOrganization(organizationId)) === undefined) {
    throw invalid("membership.organization_id", "is not an organisation");
  }
  if (teamId !== "" && (await transaction.getTeam(teamId))?.organizationId !== organizationId) {
    throw invalid("membership.team_id", "is not a team of the organisation");
  }
}

function splitMemberships(user: StoredUser, place: Place) {
  const isHere = (each: Place): boolean => each.organizationId === place.organizationId && each.teamId === place.teamId;
  return {
    current: user.memberships.find(isHere),
    others: user.memberships.filter((membership) => !isHere(membership)),
  };
}

function readMembership(membership: Membership | undefined): StoredMembership {
  const role = membership === undefined ? undefined : roleOfValue(membership.role);
  if (membership === undefined || role === undefined) {
    throw invalid("membership.role", "is required");
  }
  const { organizationId, teamId } = membership;
  if (organizationId === "" && teamId !== "") {
    throw invalid("membership.organization_id", "is required for a team");
  }
  return { organizationId, teamId, role };
}

function readEmail(email: string): string {
  if (!/^[^@\s\p{C}]+@[^@\s\p{C}]+$/u.test(readText("user.email", email))) {
    throw invalid("user.email", "must be an e-mail address");
  }
  return email;
}

function targetOf({ id, organizationId }: StoredUser) {
  return { kind: "user", id, organizationId, teamId: "" } as const;
}

function mapUser(user: StoredUser, actor: Actor | undefined): User {
  return {
    $typeName: "penstock.admin.v1.User",
    id: user.id,
    displayName: user.displayName,
    createTime: timestampFromMs(user.createTimeMs),
    organizationId: user.organizationId,
    email: user.email,
    memberships: user.memberships
      .filter((membership) => actor === undefined || isInScope(actor, membership))
      .map(({ organizationId, teamId, role }) => ({
        $typeName: "penstock.admin.v1.Membership",
        organizationId,
        teamId,
        role: roleValue(role),
      })),
  };
}

function audited(user: StoredUser): JsonObject {
  // The JSON of a message is an object.
  return toJson(UserSchema, mapUser(user, undefined)) as JsonObject;
}
