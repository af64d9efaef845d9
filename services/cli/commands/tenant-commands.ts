import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  GetOrganizationResponseSchema,
  ListOrganizationsResponseSchema,
  OrganizationService,
} from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { GetTeamResponseSchema, ListTeamsResponseSchema, TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { allPages, type ApiOptions, openApi, withApiOptions } from "./call-api.ts";
import { formatTable } from "./format-table.ts";
import { formatTime } from "./format-time.ts";

interface TenantOptions extends ApiOptions {
  readonly name?: string;
  readonly organization?: string;
}

const organizationColumns = [{ title: "ID" }, { title: "NAME" }, { title: "CREATED" }];
const teamColumns = [{ title: "ID" }, { title: "ORGANIZATION" }, { title: "NAME" }, { title: "CREATED" }];

/** Adds `penstock organizations …`. */
export function addOrganizationCommands(program: Command): void {
  const organizations = program.command("organizations").alias("orgs").description("tenants");
  withApiOptions(organizations.command("create").description("make an organisation").argument("[id]", "its id"))
    .option("--name <text>", "what people call it")
    .action(async (id: string | undefined, options: TenantOptions) => {
      const api = openApi(options);
      const { organization } = await api
        .client(OrganizationService)
        .createOrganization({ organization: { id: id ?? "", displayName: options.name ?? "" } });
      const answer = create(GetOrganizationResponseSchema, organization === undefined ? {} : { organization });
      api.print(GetOrganizationResponseSchema, answer, () => organization?.id ?? "");
    });
  withApiOptions(organizations.command("list").description("list organisations")).action(
    async (options: ApiOptions) => {
      const api = openApi(options);
      const client = api.client(OrganizationService);
      const found = await allPages(async (pageToken) => {
        const page = await client.listOrganizations({ pageSize: 1_000, pageToken });
        return { items: page.organizations, nextPageToken: page.nextPageToken };
      });
      const answer = create(ListOrganizationsResponseSchema, { organizations: [...found] });
      api.print(ListOrganizationsResponseSchema, answer, () =>
        formatTable(
          organizationColumns,
          found.map(({ id, displayName, createTime }) => [id, displayName, formatTime(createTime)]),
        ),
      );
    },
  );
  withApiOptions(organizations.command("delete").description("end an organisation").argument("<id>", "its id")).action(
    async (organizationId: string, options: ApiOptions) => {
      const api = openApi(options);
      await api.client(OrganizationService).deleteOrganization({ organizationId });
      api.write(options.json === true ? "{}" : `${organizationId} is gone`);
    },
  );
}

/** Adds `penstock teams …`. */
export function addTeamCommands(program: Command): void {
  const teams = program.command("teams").description("parts of organisations");
  withApiOptions(teams.command("create").description("make a team").argument("[id]", "its id"))
    .option("--name <text>", "what people call it")
    .option("--organization <id>", "the organisation that it belongs to")
    .action(async (id: string | undefined, options: TenantOptions) => {
      const api = openApi(options);
      const { team } = await api.client(TeamService).createTeam({
        team: { id: id ?? "", displayName: options.name ?? "", organizationId: options.organization ?? "" },
      });
      const answer = create(GetTeamResponseSchema, team === undefined ? {} : { team });
      api.print(GetTeamResponseSchema, answer, () => team?.id ?? "");
    });
  withApiOptions(teams.command("list").description("list teams"))
    .option("--organization <id>", "only those of an organisation")
    .action(async (options: TenantOptions) => {
      const api = openApi(options);
      const client = api.client(TeamService);
      const found = await allPages(async (pageToken) => {
        const page = await client.listTeams({
          pageSize: 1_000,
          pageToken,
          organizationId: options.organization ?? "",
        });
        return { items: page.teams, nextPageToken: page.nextPageToken };
      });
      api.print(ListTeamsResponseSchema, create(ListTeamsResponseSchema, { teams: [...found] }), () =>
        formatTable(
          teamColumns,
          found.map((team) => [team.id, team.organizationId, team.displayName, formatTime(team.createTime)]),
        ),
      );
    });
  withApiOptions(
    teams.command("rename").description("give a team another name").argument("<id>").argument("<name>"),
  ).action(async (id: string, displayName: string, options: ApiOptions) => {
    const api = openApi(options);
    const { team } = await api.client(TeamService).updateTeam({ team: { id, displayName } });
    const answer = create(GetTeamResponseSchema, team === undefined ? {} : { team });
    api.print(GetTeamResponseSchema, answer, () => team?.id ?? "");
  });
  withApiOptions(teams.command("delete").description("end a team").argument("<id>", "its id")).action(
    async (teamId: string, options: ApiOptions) => {
      const api = openApi(options);
      await api.client(TeamService).deleteTeam({ teamId });
      api.write(options.json === true ? "{}" : `${teamId} is gone`);
    },
  );
}
