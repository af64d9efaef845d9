import type { DescMethod } from "@bufbuild/protobuf";
import type { Key } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "../errors/gateway-error.ts";
import { type Actor, isAtLeast, type Role } from "./actor.ts";

/**
 * How the scope of a caller is held by the service that answers. `target`: what is named lies in the organisation and
 * team of the caller, else it is not found. `filter`: only what lies there is shown. `everything`: callers that see one
 * organisation or team only are refused. `none`: nothing of a tenant is told or changed.
 */
export type ScopeRule = "target" | "filter" | "everything" | "none";

/** What a method asks of whoever calls it from outside. */
export interface Permission {
  readonly least: Role;
  readonly scope: ScopeRule;
}

const viewTarget: Permission = { least: "viewer", scope: "target" };
const viewFiltered: Permission = { least: "viewer", scope: "filter" };
const edit: Permission = { least: "editor", scope: "target" };
const administer: Permission = { least: "admin", scope: "target" };
const repair: Permission = { least: "admin", scope: "everything" };
const own: Permission = { least: "owner", scope: "everything" };

/** All methods that an admin key may call, as service/method. What is not here cannot be reached from outside. */
export const permissions: Readonly<Record<string, Permission>> = {
  "penstock.admin.v1.OrganizationService/CreateOrganization": own,
  "penstock.admin.v1.OrganizationService/GetOrganization": viewTarget,
  "penstock.admin.v1.OrganizationService/ListOrganizations": viewFiltered,
  "penstock.admin.v1.OrganizationService/UpdateOrganization": administer,
  "penstock.admin.v1.OrganizationService/DeleteOrganization": own,
  "penstock.admin.v1.TeamService/CreateTeam": administer,
  "penstock.admin.v1.TeamService/GetTeam": viewTarget,
  "penstock.admin.v1.TeamService/ListTeams": viewFiltered,
  "penstock.admin.v1.TeamService/UpdateTeam": administer,
  "penstock.admin.v1.TeamService/DeleteTeam": administer,
  "penstock.admin.v1.UserService/CreateUser": administer,
  "penstock.admin.v1.UserService/GetUser": viewTarget,
  "penstock.admin.v1.UserService/ListUsers": viewFiltered,
  "penstock.admin.v1.UserService/UpdateUser": administer,
  "penstock.admin.v1.UserService/DeleteUser": administer,
  "penstock.admin.v1.UserService/SetMembership": administer,
  "penstock.admin.v1.UserService/RemoveMembership": administer,
  "penstock.admin.v1.KeyService/CreateKey": edit,
  "penstock.admin.v1.KeyService/GetKey": viewTarget,
  "penstock.admin.v1.KeyService/ListKeys": viewFiltered,
  "penstock.admin.v1.KeyService/UpdateKey": edit,
  "penstock.admin.v1.KeyService/RotateKey": edit,
  "penstock.admin.v1.KeyService/DisableKey": edit,
  "penstock.admin.v1.KeyService/EnableKey": edit,
  "penstock.admin.v1.KeyService/RevokeKey": edit,
  "penstock.admin.v1.LimitService/CreateLimit": administer,
  "penstock.admin.v1.LimitService/ListLimits": viewFiltered,
  "penstock.admin.v1.LimitService/UpdateLimit": administer,
  "penstock.admin.v1.LimitService/DeleteLimit": administer,
  "penstock.admin.v1.LimitService/TopUp": administer,
  "penstock.admin.v1.LimitService/GetUsage": viewTarget,
  "penstock.admin.v1.AuditService/ListAudit": viewFiltered,
  "penstock.accounting.v1.AccountingService/QueryUsage": viewFiltered,
  "penstock.accounting.v1.AccountingService/ListRequests": viewFiltered,
  "penstock.accounting.v1.AccountingService/GetRequest": viewTarget,
  "penstock.accounting.v1.AccountingService/WatchRequests": viewFiltered,
  "penstock.accounting.v1.AccountingService/WatchSpend": viewFiltered,
  "penstock.accounting.v1.AccountingService/ExportRequests": viewFiltered,
  "penstock.accounting.v1.RepairService/ListDeadLetters": repair,
  "penstock.accounting.v1.RepairService/ReplayDeadLetters": repair,
  "penstock.accounting.v1.RepairService/RecomputeCosts": repair,
  "penstock.accounting.v1.AlertService/ListAlerts": viewFiltered,
  "penstock.router.v1.RouterService/Explain": { least: "viewer", scope: "none" },
};

/**
 * Who may set a field of a key to something else than it was, or than a new key of the caller has. `tags`: an editor,
 * where no limit counts by them; else an admin. `set by the service`: nobody.
 */
export const keyFields: Readonly<
  Record<Exclude<keyof Key, "$typeName" | "$unknown">, Role | "tags" | "set by the service">
> = {
  id: "set by the service",
  displayName: "editor",
  allowedModels: "editor",
  budgetNanosUsd: "admin",
  requestsPerMinute: "admin",
  tokensPerMinute: "admin",
  expireTime: "editor",
  tags: "tags",
  teamId: "admin",
  createTime: "set by the service",
  revoked: "set by the service",
  spentNanosUsd: "set by the service",
  heldNanosUsd: "set by the service",
  admin: "admin",
  organizationId: "admin",
  role: "admin",
  userId: "admin",
  serviceAccount: "editor",
  logBodies: "editor",
  disabled: "set by the service",
  previousSecretExpireTime: "set by the service",
};

/** The permission of a method; undefined for one that cannot be called from outside. */
export function permissionOf(method: DescMethod): Permission | undefined {
  const name = methodName(method);
  return Object.hasOwn(permissions, name) ? permissions[name] : undefined;
}

/** The name of a method as the table of permissions and the audit log write it. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** Throws PERMISSION_DENIED unless the caller's role suffices for a method, and its scope where that takes everything. */
export function requirePermission(actor: Actor, method: DescMethod): void {
  const permission = permissionOf(method);
  if (permission === undefined) {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, "This call is not for admin keys.");
  }
  requireRole(actor, permission.least, "this call");
  if (permission.scope === "everything" && actor.organizationId !== "") {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, "This call takes an admin key that is not of one organisation.");
  }
}

/** Throws PERMISSION_DENIED unless the caller may do what a role may; `what` says what takes it. */
export function requireRole(actor: Actor, least: Role, what: string): void {
  if (!isAtLeast(actor.role, least)) {
    throw gatewayError(
      ErrorReason.PERMISSION_DENIED,
      `The role ${actor.role} does not suffice: ${what} takes ${least}.`,
      { metadata: { role: actor.role, least } },
    );
  }
}
