import { AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { LimitService } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { withPermissions } from "#kit/auth/with-permissions.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import { createAuditService } from "./audit-service.ts";
import { createKeyService, type KeyServiceDeps } from "./key-service.ts";
import { createLimitService, type LimitServiceDeps } from "./limit-service.ts";
import { createOrganizationService } from "./organization-service.ts";
import { createTeamService } from "./team-service.ts";
import { createUserService } from "./user-service.ts";

/** Serves the admin services that quota owns, each behind the table of permissions. */
export function serveAdmin(mesh: Mesh, deps: KeyServiceDeps & LimitServiceDeps): void {
  mesh.serve(OrganizationService, withPermissions(OrganizationService, createOrganizationService(deps)));
  mesh.serve(TeamService, withPermissions(TeamService, createTeamService(deps)));
  mesh.serve(UserService, withPermissions(UserService, createUserService(deps)));
  mesh.serve(KeyService, withPermissions(KeyService, createKeyService(deps)));
  mesh.serve(LimitService, withPermissions(LimitService, createLimitService(deps)));
  mesh.serve(AuditService, withPermissions(AuditService, createAuditService(deps)));
}
