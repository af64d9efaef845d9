import type { DescService } from "@bufbuild/protobuf";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { LimitService } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import { CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { OwnedObjectService } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { MeshAddresses } from "#kit/mesh/mesh.ts";
import type { RootConfig } from "./root-config.ts";

/** The services that a process can host, in the order of the README. */
export const serviceNames = ["ingress", "router", "connector", "quota", "cache", "accounting"] as const;
/** One of them. */
export type ServiceName = (typeof serviceNames)[number];

const owners: ReadonlyMap<string, Exclude<ServiceName, "ingress">> = new Map(
  (
    [
      [RouterService, "router"],
      [ConnectorService, "connector"],
      [QuotaService, "quota"],
      [OrganizationService, "quota"],
      [TeamService, "quota"],
      [UserService, "quota"],
      [KeyService, "quota"],
      [LimitService, "quota"],
      [AuditService, "quota"],
      [OwnedObjectService, "quota"],
      [CacheService, "cache"],
      [AccountingService, "accounting"],
      [RepairService, "accounting"],
      [AlertService, "accounting"],
    ] satisfies readonly (readonly [DescService, Exclude<ServiceName, "ingress">])[]
  ).map(([service, owner]) => [service.typeName, owner]),
);

/** Where the services of other processes are, as the configuration says. */
export function meshAddresses(services: RootConfig["mesh"]["services"]): MeshAddresses {
  return {
    resolve(serviceTypeName, instance) {
      const owner = owners.get(serviceTypeName);
      if (owner === undefined) {
        return undefined;
      }
      const address = services[owner];
      return typeof address === "object" ? address[instance ?? ""] : address;
    },
  };
}
