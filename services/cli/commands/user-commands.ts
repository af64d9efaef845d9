import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  DeleteUserResponseSchema,
  GetUserResponseSchema,
  ListUsersResponseSchema,
  type Membership,
  type User,
  UserService,
} from "#gen/penstock/admin/v1/user_service_pb.ts";
import { allPages, type ApiOptions, openApi, withApiOptions } from "./call-api.ts";
import { formatTable } from "./format-table.ts";
import { readRole, roleName } from "./read-options.ts";

interface UserOptions extends ApiOptions {
  readonly id?: string;
  readonly name?: string;
  readonly organization?: string;
  readonly team?: string;
  readonly role?: string;
}

/** Adds `penstock users …`. */
export function addUserCommands(program: Command): void {
  const users = program.command("users").description("people and their roles");
  withPlace(users.command("create").description("make a user").argument("<email>", "the e-mail address"))
    .option("--id <id>", "the user's id")
    .option("--name <text>", "what people call the user")
    .option("--role <role>", "a role in the team, else in the organisation")
    .action(async (email: string, options: UserOptions) => {
      const api = openApi(options);
      const organizationId = options.organization ?? "";
      const place = { organizationId, teamId: options.team ?? "" };
      const { user } = await api.client(UserService).createUser({
        user: {
          id: options.id ?? "",
          email,
          displayName: options.name ?? "",
          organizationId,
          memberships: options.role === undefined ? [] : [{ ...place, role: readRole(options.role) }],
        },
      });
      api.print(GetUserResponseSchema, answerOf(user), () => user?.id ?? "");
    });
  withPlace(users.command("list").description("list users")).action(async (options: UserOptions) => {
    const api = openApi(options);
    const client = api.client(UserService);
    const found = await allPages(async (pageToken) => {
      const page = await client.listUsers({
        pageSize: 1_000,
        pageToken,
        organizationId: options.organization ?? "",
        teamId: options.team ?? "",
      });
      return { items: page.users, nextPageToken: page.nextPageToken };
    });
    api.print(ListUsersResponseSchema, create(ListUsersResponseSchema, { users: [...found] }), () => userTable(found));
  });
  withPlace(
    users
      .command("grant")
      .description("give a user a role in a team, else in the organisation")
      .argument("<id>", "the user's id")
      .argument("<role>", "owner, admin, editor or viewer"),
  ).action(async (userId: string, role: string, options: UserOptions) => {
    const api = openApi(options);
    const { user } = await api.client(UserService).setMembership({
      userId,
      membership: { organizationId: options.organization ?? "", teamId: options.team ?? "", role: readRole(role) },
    });
    api.print(GetUserResponseSchema, answerOf(user), () => userTable(user === undefined ? [] : [user]));
  });
  withPlace(users.command("remove").description("take a user's role away").argument("<id>", "the user's id")).action(
    async (userId: string, options: UserOptions) => {
      const api = openApi(options);
      const { user } = await api.client(UserService).removeMembership({
        userId,
        organizationId: options.organization ?? "",
        teamId: options.team ?? "",
      });
      api.print(GetUserResponseSchema, answerOf(user), () => userTable(user === undefined ? [] : [user]));
    },
  );
  withApiOptions(
    users.command("delete").description("end a user and revoke the user's keys").argument("<id>", "the user's id"),
  ).action(async (userId: string, options: ApiOptions) => {
    const api = openApi(options);
    const answer = await api.client(UserService).deleteUser({ userId });
    api.print(DeleteUserResponseSchema, answer, () =>
      [`${userId} is gone`, ...answer.revokedKeyIds.map((id) => `key ${id} is revoked`)].join("\n"),
    );
  });
}

function withPlace(command: Command): Command {
  return withApiOptions(command).option("--organization <id>", "the organisation").option("--team <id>", "the team");
}

function answerOf(user: User | undefined) {
  return create(GetUserResponseSchema, user === undefined ? {} : { user });
}

function userTable(users: readonly User[]): string {
  return formatTable(
    [{ title: "ID" }, { title: "E-MAIL" }, { title: "NAME" }, { title: "ORGANIZATION" }, { title: "ROLES" }],
    users.map((user) => [
      user.id,
      user.email,
      user.displayName,
      user.organizationId,
      user.memberships.map(membershipText).join(" "),
    ]),
  );
}

function membershipText({ organizationId, teamId, role }: Membership): string {
  const place = teamId === "" ? organizationId : teamId;
  return `${roleName(role)}@${place === "" ? "everything" : place}`;
}
