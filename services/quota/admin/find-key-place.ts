import type { Key } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Actor } from "#kit/auth/actor.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { AdminTransaction, Place } from "../store/admin-store.ts";
import { defaultOrganizationId, type StoredKey } from "../store/store.ts";
import { isInScope } from "./caller.ts";
import { invalid } from "./read-fields.ts";

/**
 * Where a key is to belong: to the team that is asked for, and its organisation; else to the organisation that is asked
 * for, or that it belongs to already; else to where the caller is, or to `default`. Throws INVALID_ARGUMENT for what is
 * not there or not the caller's to see, PERMISSION_DENIED for a place outside the caller's scope.
 */
export async function findKeyPlace(
  transaction: Pick<AdminTransaction, "getTeam" | "getOrganization">,
  actor: Actor,
  wanted: Key,
  before: StoredKey | undefined,
): Promise<Place> {
  const place = await wantedPlace(transaction, actor, wanted, before);
  if (!isInScope(actor, place)) {
    throw gatewayError(
      ErrorReason.PERMISSION_DENIED,
      "The key would lie beyond the organisation or team of the caller.",
    );
  }
  return place;
}

async function wantedPlace(
  transaction: Pick<AdminTransaction, "getTeam" | "getOrganization">,
  actor: Actor,
  wanted: Key,
  before: StoredKey | undefined,
): Promise<Place> {
  const teamId = wanted.teamId === "" && before === undefined ? actor.teamId : wanted.teamId;
  if (before !== undefined && teamId === before.teamId && isSameOrganization(wanted, before)) {
    return { organizationId: before.organizationId, teamId };
  }
  if (teamId !== "") {
    const team = await transaction.getTeam(teamId);
    if (team === undefined || !isInScope(actor, { organizationId: team.organizationId, teamId })) {
      throw invalid("key.team_id", "is not a team");
    }
    if (wanted.organizationId !== "" && wanted.organizationId !== team.organizationId) {
      throw invalid("key.organization_id", "is not that of the team");
    }
    return { organizationId: team.organizationId, teamId };
  }
  const usual = actor.organizationId === "" && !wanted.admin ? defaultOrganizationId : actor.organizationId;
  const organizationId = wanted.organizationId || (before?.organizationId ?? usual);
  const isHidden = actor.organizationId !== "" && actor.organizationId !== organizationId;
  if (organizationId !== "" && (isHidden || (await transaction.getOrganization(organizationId)) === undefined)) {
    throw invalid("key.organization_id", "is not an organisation");
  }
  return { organizationId, teamId: "" };
}

function isSameOrganization(wanted: Key, before: StoredKey): boolean {
  return wanted.organizationId === "" || wanted.organizationId === before.organizationId;
}

/** Throws INVALID_ARGUMENT unless a key that belongs to a place may be this user's. Nobody's is everybody's to make. */
export async function requireUser(
  transaction: Pick<AdminTransaction, "getUser">,
  actor: Actor,
  userId: string,
  place: Place,
): Promise<void> {
  if (userId === "") {
    return;
  }
  const user = await transaction.getUser(userId);
  const isOfPlace = user?.organizationId === place.organizationId;
  // Who belongs to the gateway itself may have keys everywhere, but only from who sees everything.
  const isOfGateway = user?.organizationId === "" && (actor.organizationId === "" || actor.userId === userId);
  const isSeen =
    actor.teamId === "" ||
    actor.userId === userId ||
    user?.memberships.some(({ teamId }) => teamId === actor.teamId) === true;
  if (user === undefined || !(isOfPlace || isOfGateway) || !isSeen) {
    throw invalid("key.user_id", "is not a user of the organisation");
  }
}
