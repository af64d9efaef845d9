import type { JsonObject } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { type Actor, isAtLeast, readActor, type Role } from "#kit/auth/actor.ts";
import { methodName } from "#kit/auth/permissions.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { AuditRecord, Place } from "../store/admin-store.ts";

/** Who asks for a change, and how. */
export interface Caller {
  readonly actor: Actor;
  /** service/method */
  readonly method: string;
  /** Empty for calls from inside the mesh. */
  readonly requestId: string;
}

/** A service of the mesh that calls for itself may do everything. */
const meshItself: Actor = { keyId: "", userId: "", role: "owner", organizationId: "", teamId: "" };

/** Who makes a call. */
export function callerOf(context: HandlerContext): Caller {
  return {
    actor: readActor(context.requestHeader) ?? meshItself,
    method: methodName(context.method),
    requestId: context.requestHeader.get("x-request-id") ?? "",
  };
}

/** Whether a caller sees what belongs to a place. */
export function isInScope(actor: Actor, place: Place): boolean {
  return (
    (actor.organizationId === "" || actor.organizationId === place.organizationId) &&
    (actor.teamId === "" || actor.teamId === place.teamId)
  );
}

/** What was found, where the caller sees it. Throws NOT_FOUND otherwise: what others have must not be told apart. */
export function foundInScope<T>(actor: Actor, found: T | undefined, placeOf: (found: T) => Place, what: string): T {
  if (found === undefined || !isInScope(actor, placeOf(found))) {
    throw gatewayError(ErrorReason.NOT_FOUND, `no such ${what}`);
  }
  return found;
}

/** The part of a wanted place that a caller sees; undefined when it sees nothing there. Empty fields mean all. */
export function narrow(actor: Actor, wanted: Place): Place | undefined {
  const organizationId = narrowed(actor.organizationId, wanted.organizationId);
  const teamId = narrowed(actor.teamId, wanted.teamId);
  return organizationId === undefined || teamId === undefined ? undefined : { organizationId, teamId };
}

function narrowed(own: string, wanted: string): string | undefined {
  if (own === "" || own === wanted) {
    return wanted;
  }
  return wanted === "" ? own : undefined;
}

/** Throws PERMISSION_DENIED where a role above the caller's own, or beyond its scope, would be given or changed. */
export function requireGrant(actor: Actor, role: Role, place: Place): void {
  if (!isAtLeast(actor.role, role)) {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, `The role ${actor.role} cannot deal with the role ${role}.`);
  }
  if (!isInScope(actor, place)) {
    throw gatewayError(
      ErrorReason.PERMISSION_DENIED,
      "The role would hold beyond the organisation or team of the caller.",
    );
  }
}

/** The record of a change. `before` and `after` have no secrets; undefined where there was or is nothing. */
export function auditOf(
  { actor, method, requestId }: Caller,
  target: { readonly kind: AuditRecord["targetKind"]; readonly id: string } & Place,
  before: JsonObject | undefined,
  after: JsonObject | undefined,
): AuditRecord {
  return {
    actorKeyId: actor.keyId,
    actorUserId: actor.userId,
    actorRole: actor.role,
    method,
    targetKind: target.kind,
    targetId: target.id,
    organizationId: target.organizationId,
    teamId: target.teamId,
    before,
    after,
    requestId,
  };
}
