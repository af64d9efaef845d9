import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Organization,
  OrganizationSchema,
  type OrganizationService,
} from "#gen/penstock/admin/v1/organization_service_pb.ts";
import type { AdminStore, Place, StoredOrganization } from "../store/admin-store.ts";
import { defaultOrganizationId } from "../store/store.ts";
import { auditOf, callerOf, foundInScope } from "./caller.ts";
import { invalid, pageOf, readIdToken, readNewId, readPageSize, readText, stored } from "./read-fields.ts";

/** What the services of organisations, teams and users work with. */
export interface TenantServiceDeps {
  readonly admin: AdminStore;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** Manages organisations. What a role may do at all is checked before: `kit/auth/permissions.ts`. */
export function createOrganizationService({
  admin,
  wallClock,
}: TenantServiceDeps): ServiceImpl<typeof OrganizationService> {
  return {
    async createOrganization(req, context) {
      const caller = callerOf(context);
      const organization: StoredOrganization = {
        id: readNewId("organization.id", req.organization?.id ?? ""),
        displayName: readText("organization.display_name", req.organization?.displayName ?? ""),
        createTimeMs: wallClock(),
      };
      await stored(
        admin.change(async (transaction) => {
          if (!(await transaction.insertOrganization(organization))) {
            throw invalid("organization.id", "was used before");
          }
          await transaction.record(auditOf(caller, targetOf(organization), undefined, audited(organization)));
        }),
      );
      return { organization: mapOrganization(organization) };
    },
    async getOrganization(req, context) {
      const { actor } = callerOf(context);
      const found = await stored(admin.getOrganization(req.organizationId));
      // Who sees one team only knows of its organisation that it is there.
      const seen = foundInScope({ ...actor, teamId: "" }, found, placeOf, "organization");
      return { organization: mapOrganization(seen) };
    },
    async listOrganizations(req, context) {
      const { actor } = callerOf(context);
      const pageSize = readPageSize(req.pageSize);
      const afterId = readIdToken(req.pageToken);
      const found = await stored(admin.listOrganizations({ limit: pageSize + 1, afterId }, actor.organizationId));
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [last.id]);
      return { organizations: page.map(mapOrganization), nextPageToken };
    },
    async updateOrganization(req, context) {
      const caller = callerOf(context);
      const displayName = readText("organization.display_name", req.organization?.displayName ?? "");
      const organization = await stored(
        admin.change(async (transaction) => {
          const found = await transaction.getOrganization(req.organization?.id ?? "");
          const before = foundInScope(caller.actor, found, placeOf, "organization");
          if (before.displayName === displayName) {
            return before;
          }
          const after = { ...before, displayName };
          await transaction.renameOrganization(before.id, displayName);
          await transaction.record(auditOf(caller, targetOf(after), audited(before), audited(after)));
          return after;
        }),
      );
      return { organization: mapOrganization(organization) };
    },
    async deleteOrganization(req, context) {
      const caller = callerOf(context);
      if (req.organizationId === defaultOrganizationId) {
        throw invalid("organization_id", "is where keys of no other organisation belong");
      }
      await stored(
        admin.change(async (transaction) => {
          const found = await transaction.getOrganization(req.organizationId);
          const before = foundInScope(caller.actor, found, placeOf, "organization");
          if (!(await transaction.deleteOrganization(before.id, wallClock()))) {
            throw invalid("organization_id", "has teams, or keys that are not revoked");
          }
          await transaction.record(auditOf(caller, targetOf(before), audited(before), undefined));
        }),
      );
      return {};
    },
  };
}

function placeOf({ id }: StoredOrganization): Place {
  return { organizationId: id, teamId: "" };
}

function targetOf(organization: StoredOrganization) {
  return { kind: "organization", id: organization.id, ...placeOf(organization) } as const;
}

function mapOrganization({ id, displayName, createTimeMs }: StoredOrganization): Organization {
  return {
    $typeName: "penstock.admin.v1.Organization",
    id,
    displayName,
    createTime: timestampFromMs(createTimeMs),
  };
}

function audited(organization: StoredOrganization): JsonObject {
  // The JSON of a message is an object.
  return toJson(OrganizationSchema, mapOrganization(organization)) as JsonObject;
}
