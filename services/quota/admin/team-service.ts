import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Team, TeamSchema, type TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { Place, StoredTeam } from "../store/admin-store.ts";
import { defaultOrganizationId } from "../store/store.ts";
import { auditOf, callerOf, foundInScope, isInScope, narrow } from "./caller.ts";
import type { TenantServiceDeps } from "./organization-service.ts";
import { invalid, pageOf, readIdToken, readNewId, readPageSize, readText, stored } from "./read-fields.ts";

/** Manages teams. What a role may do at all is checked before: `kit/auth/permissions.ts`. */
export function createTeamService({ admin, wallClock }: TenantServiceDeps): ServiceImpl<typeof TeamService> {
  return {
    async createTeam(req, context) {
      const caller = callerOf(context);
      const { actor } = caller;
      const team: StoredTeam = {
        id: readNewId("team.id", req.team?.id ?? ""),
        organizationId: req.team?.organizationId || actor.organizationId || defaultOrganizationId,
        displayName: readText("team.display_name", req.team?.displayName ?? ""),
        createTimeMs: wallClock(),
      };
      if (actor.teamId !== "") {
        throw gatewayError(ErrorReason.PERMISSION_DENIED, "An admin of one team cannot make others.");
      }
      await stored(
        admin.change(async (transaction) => {
          const { organizationId } = team;
          const isSeen = isInScope(actor, { organizationId, teamId: "" });
          if (!isSeen || (await transaction.getOrganization(organizationId)) === undefined) {
            throw invalid("team.organization_id", "is not an organisation");
          }
          if (!(await transaction.insertTeam(team))) {
            throw invalid("team.id", "was used before");
          }
          await transaction.record(auditOf(caller, targetOf(team), undefined, audited(team)));
        }),
      );
      return { team: mapTeam(team) };
    },
    async getTeam(req, context) {
      const { actor } = callerOf(context);
      return { team: mapTeam(foundInScope(actor, await stored(admin.getTeam(req.teamId)), placeOf, "team")) };
    },
    async listTeams(req, context) {
      const place = narrow(callerOf(context).actor, { organizationId: req.organizationId, teamId: "" });
      const pageSize = readPageSize(req.pageSize);
      const afterId = readIdToken(req.pageToken);
      if (place === undefined) {
        return { teams: [], nextPageToken: "" };
      }
      const found = await stored(admin.listTeams({ limit: pageSize + 1, afterId }, place));
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [last.id]);
      return { teams: page.map(mapTeam), nextPageToken };
    },
    async updateTeam(req, context) {
      const caller = callerOf(context);
      const displayName = readText("team.display_name", req.team?.displayName ?? "");
      const team = await stored(
        admin.change(async (transaction) => {
          const before = foundInScope(caller.actor, await transaction.getTeam(req.team?.id ?? ""), placeOf, "team");
          if (before.displayName === displayName) {
            return before;
          }
          const after = { ...before, displayName };
          await transaction.renameTeam(before.id, displayName);
          await transaction.record(auditOf(caller, targetOf(after), audited(before), audited(after)));
          return after;
        }),
      );
      return { team: mapTeam(team) };
    },
    async deleteTeam(req, context) {
      const caller = callerOf(context);
      if (caller.actor.teamId !== "") {
        throw gatewayError(ErrorReason.PERMISSION_DENIED, "An admin of one team cannot end it.");
      }
      await stored(
        admin.change(async (transaction) => {
          const before = foundInScope(caller.actor, await transaction.getTeam(req.teamId), placeOf, "team");
          if (!(await transaction.deleteTeam(before.id, wallClock()))) {
            throw invalid("team_id", "has keys that are not revoked");
          }
          await transaction.record(auditOf(caller, targetOf(before), audited(before), undefined));
        }),
      );
      return {};
    },
  };
}

function placeOf({ id, organizationId }: StoredTeam): Place {
  return { organizationId, teamId: id };
}

function targetOf(team: StoredTeam) {
  return { kind: "team", id: team.id, ...placeOf(team) } as const;
}

function mapTeam({ id, displayName, createTimeMs, organizationId }: StoredTeam): Team {
  return {
    $typeName: "penstock.admin.v1.Team",
    id,
    displayName,
    createTime: timestampFromMs(createTimeMs),
    organizationId,
  };
}

function audited(team: StoredTeam): JsonObject {
  // The JSON of a message is an object.
  return toJson(TeamSchema, mapTeam(team)) as JsonObject;
}
