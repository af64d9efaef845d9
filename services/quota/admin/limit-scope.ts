import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Actor } from "#kit/auth/actor.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { LimitRule, ScopeKind } from "../limits/limit-rule.ts";
import type { AdminStore, Place } from "../store/admin-store.ts";
import type { KeyStore } from "../store/store.ts";
import { isInScope } from "./caller.ts";

/** Where the places of limited things are looked up. */
export interface LimitScopeDeps {
  readonly admin: AdminStore;
  readonly keys: KeyStore;
}

/** Where a limited thing belongs; undefined when it is not there, or belongs to no tenant. */
export async function placeOfValue(deps: LimitScopeDeps, kind: ScopeKind, value: string): Promise<Place | undefined> {
  switch (kind) {
    case "organization":
      return (await deps.admin.getOrganization(value)) && { organizationId: value, teamId: "" };
    case "team": {
      const team = await deps.admin.getTeam(value);
      return team && { organizationId: team.organizationId, teamId: team.id };
    }
    case "key":
      return await deps.keys.getKey(value);
    case "user": {
      const user = await deps.admin.getUser(value);
      return user && { organizationId: user.organizationId, teamId: "" };
    }
    case "tag":
    case "model":
    case "provider":
      return undefined;
  }
}

/** Whether a caller sees the counter of a value. */
export async function seesValue(deps: LimitScopeDeps, actor: Actor, kind: ScopeKind, value: string): Promise<boolean> {
  if (actor.organizationId === "") {
    return true;
  }
  const place = await placeOfValue(deps, kind, value);
  return place !== undefined && isInScope(actor, place);
}

/** Whether a caller sees a limit: one for each, or on something that it sees. */
export async function seesLimit(deps: LimitScopeDeps, actor: Actor, { scope }: LimitRule): Promise<boolean> {
  return scope.value === undefined || (await seesValue(deps, actor, scope.kind, scope.value));
}

/** Throws PERMISSION_DENIED unless a limit was set by somebody who sees no more than the caller. */
export function requireLimitPower(actor: Actor, owner: Place): void {
  if (!isInScope(actor, owner)) {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, "The limit was set by somebody with a wider scope.");
  }
}
