import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import pg from "pg";
import { LimitScope } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { Role as RoleValue } from "#gen/penstock/admin/v1/role_pb.ts";
import type { Actor, Role } from "#kit/auth/actor.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { owner, refused, startAdmin, type TestAdmin } from "./testing.ts";

const postgres = await startTestPostgres();
let admin: TestAdmin;
let databaseUrl = "";
/** The ids of one key of each team of each organisation. */
const keyIds = new Map<string, string>();
before(async () => {
  databaseUrl = await postgres.createDatabase();
  admin = await startAdmin(databaseUrl);
  const { organizations, teams, users, keys } = admin.as(owner);
  for (const organizationId of ["acme", "other"]) {
    await organizations.createOrganization({ organization: { id: organizationId } });
    for (const name of ["search", "chat"]) {
      const teamId = `${organizationId}-${name}`;
      await teams.createTeam({ team: { id: teamId, organizationId } });
      await users.createUser({
        user: {
          id: `${teamId}-user`,
          organizationId,
          email: `${name}@example.com`,
          memberships: [{ organizationId, teamId, role: RoleValue.EDITOR }],
        },
      });
      const { key } = await keys.createKey({ key: { teamId } });
      keyIds.set(teamId, key?.id ?? "");
    }
  }
});
after(async () => {
  await admin.stop();
  await postgres.close();
});

function actor(role: Role, organizationId: string, teamId = ""): Actor {
  return { keyId: `${role}-of-${organizationId}${teamId}`, userId: "", role, organizationId, teamId };
}

describe("who sees one organisation", () => {
  test("lists nothing of another", async () => {
    const { organizations, teams, users, keys } = admin.as(actor("owner", "acme"));
    assert.deepEqual(
      (await organizations.listOrganizations({})).organizations.map(({ id }) => id),
      ["acme"],
    );
    assert.deepEqual(
      (await teams.listTeams({})).teams.map(({ id }) => id),
      ["acme-chat", "acme-search"],
    );
    assert.deepEqual((await teams.listTeams({ organizationId: "other" })).teams, []);
    assert.deepEqual(
      (await users.listUsers({})).users.map(({ id }) => id),
      ["acme-chat-user", "acme-search-user"],
    );
    assert.deepEqual((await users.listUsers({ teamId: "other-chat" })).users, []);
    assert.ok((await keys.listKeys({})).keys.every((key) => key.organizationId === "acme"));
    assert.deepEqual((await keys.listKeys({ organizationId: "other" })).keys, []);
    assert.deepEqual((await keys.listKeys({ teamId: "other-chat" })).keys, []);
  });

  test("reaches nothing of another, and is told that it is not there", async () => {
    const { organizations, teams, users, keys } = admin.as(actor("owner", "acme"));
    const keyId = keyIds.get("other-search") ?? "";
    const foreign = [
      organizations.getOrganization({ organizationId: "other" }),
      organizations.updateOrganization({ organization: { id: "other", displayName: "mine" } }),
      teams.getTeam({ teamId: "other-chat" }),
      teams.updateTeam({ team: { id: "other-chat", displayName: "mine" } }),
      teams.deleteTeam({ teamId: "other-chat" }),
      users.getUser({ userId: "other-chat-user" }),
      users.updateUser({ user: { id: "other-chat-user", email: "a@b.c" } }),
      users.deleteUser({ userId: "other-chat-user" }),
      users.setMembership({
        userId: "other-chat-user",
        membership: { organizationId: "acme", role: RoleValue.VIEWER },
      }),
      users.removeMembership({ userId: "other-chat-user", organizationId: "other", teamId: "other-chat" }),
      keys.getKey({ keyId }),
      keys.updateKey({ key: { id: keyId } }),
      keys.rotateKey({ keyId }),
      keys.disableKey({ keyId }),
      keys.enableKey({ keyId }),
      keys.revokeKey({ keyId }),
    ];
    await Promise.all(foreign.map((call, index) => refused(call, Code.NotFound, `call ${index}`)));
  });

  test("puts nothing into another", async () => {
    const { teams, users, keys } = admin.as(actor("owner", "acme"));
    await refused(teams.createTeam({ team: { organizationId: "other" } }), Code.InvalidArgument);
    await refused(keys.createKey({ key: { organizationId: "other" } }), Code.InvalidArgument);
    await refused(keys.createKey({ key: { teamId: "other-chat" } }), Code.InvalidArgument);
    await refused(keys.createKey({ key: { userId: "other-chat-user" } }), Code.InvalidArgument);
    await refused(
      users.createUser({ user: { organizationId: "other", email: "x@example.com" } }),
      Code.InvalidArgument,
    );
    await refused(
      users.createUser({
        user: { email: "x@example.com", memberships: [{ organizationId: "other", role: RoleValue.VIEWER }] },
      }),
      Code.PermissionDenied,
    );
    const { key } = await keys.createKey({ key: { teamId: "acme-chat" } });
    await refused(keys.updateKey({ key: { id: key?.id ?? "", teamId: "other-chat" } }), Code.InvalidArgument);
    await refused(keys.updateKey({ key: { id: key?.id ?? "", organizationId: "other" } }), Code.InvalidArgument);
  });

  test("makes what belongs to it without saying so", async () => {
    const { teams, users, keys } = admin.as(actor("admin", "acme"));
    assert.equal((await teams.createTeam({ team: {} })).team?.organizationId, "acme");
    assert.equal((await users.createUser({ user: { email: "new@example.com" } })).user?.organizationId, "acme");
    assert.equal((await keys.createKey({})).key?.organizationId, "acme");
  });
});

describe("who sees one team", () => {
  const ofTeam = actor("admin", "acme", "acme-search");

  test("sees that team, its users and keys, and no others", async () => {
    const { teams, users, keys, organizations } = admin.as(ofTeam);
    assert.deepEqual(
      (await teams.listTeams({})).teams.map(({ id }) => id),
      ["acme-search"],
    );
    assert.deepEqual(
      (await users.listUsers({})).users.map(({ id }) => id),
      ["acme-search-user"],
    );
    assert.ok((await keys.listKeys({})).keys.every((key) => key.teamId === "acme-search"));
    assert.equal((await organizations.getOrganization({ organizationId: "acme" })).organization?.id, "acme");
    await refused(keys.getKey({ keyId: keyIds.get("acme-chat") ?? "" }), Code.NotFound);
    await refused(users.getUser({ userId: "acme-chat-user" }), Code.NotFound);
    await refused(teams.getTeam({ teamId: "acme-chat" }), Code.NotFound);
  });

  test("makes keys of that team, and takes none out of it", async () => {
    const { keys } = admin.as(ofTeam);
    const { key } = await keys.createKey({});
    assert.deepEqual([key?.organizationId, key?.teamId], ["acme", "acme-search"]);
    const keyId = key?.id ?? "";
    await refused(keys.updateKey({ key: { id: keyId, teamId: "" } }), Code.PermissionDenied);
    await refused(keys.updateKey({ key: { id: keyId, teamId: "acme-chat" } }), Code.InvalidArgument);
    await refused(keys.createKey({ key: { organizationId: "acme", teamId: "acme-chat" } }), Code.InvalidArgument);
  });

  test("makes and ends no teams, and gives roles in its team only", async () => {
    const { teams, users, organizations } = admin.as(ofTeam);
    await refused(teams.createTeam({ team: {} }), Code.PermissionDenied);
    await refused(teams.deleteTeam({ teamId: "acme-search" }), Code.PermissionDenied);
    await refused(
      organizations.updateOrganization({ organization: { id: "acme", displayName: "mine" } }),
      Code.NotFound,
    );
    const userId = "acme-search-user";
    const wider = { organizationId: "acme", role: RoleValue.VIEWER };
    await refused(users.setMembership({ userId, membership: wider }), Code.PermissionDenied);
    const own = { organizationId: "acme", teamId: "acme-search" };
    await refused(
      users.setMembership({ userId, membership: { ...own, role: RoleValue.OWNER } }),
      Code.PermissionDenied,
    );
    const { user } = await users.setMembership({ userId, membership: { ...own, role: RoleValue.ADMIN } });
    assert.deepEqual(
      user?.memberships.map(({ role }) => role),
      [RoleValue.ADMIN],
    );
    await refused(users.updateUser({ user: { id: userId, email: "evil@example.com" } }), Code.PermissionDenied);
    await refused(users.deleteUser({ userId }), Code.PermissionDenied);
    assert.deepEqual((await users.removeMembership({ userId, ...own })).user?.memberships, []);
  });
});

describe("organisations, teams and users", () => {
  test("have ids that are never used again", async () => {
    const { organizations, teams } = admin.as(owner);
    await organizations.createOrganization({ organization: { id: "short" } });
    await teams.createTeam({ team: { id: "lived", organizationId: "short" } });
    await refused(organizations.deleteOrganization({ organizationId: "short" }), Code.InvalidArgument);
    await teams.deleteTeam({ teamId: "lived" });
    await organizations.deleteOrganization({ organizationId: "short" });
    await refused(organizations.getOrganization({ organizationId: "short" }), Code.NotFound);
    await refused(organizations.createOrganization({ organization: { id: "short" } }), Code.InvalidArgument);
    await refused(teams.createTeam({ team: { id: "lived" } }), Code.InvalidArgument);
    await refused(organizations.deleteOrganization({ organizationId: "default" }), Code.InvalidArgument);
  });

  test("have ids of letters, digits and hyphens, and made-up ones when none is given", async () => {
    const { organizations } = admin.as(owner);
    for (const id of ["Big", "a b", "-a", "a-", "each", "x".repeat(64), "a:b", "a/b"]) {
      await refused(organizations.createOrganization({ organization: { id } }), Code.InvalidArgument, id);
    }
    const { organization } = await organizations.createOrganization({ organization: { displayName: "nameless" } });
    assert.match(organization?.id ?? "", /^[a-z0-9]{12}$/);
  });

  test("a team with keys does not end before they are revoked", async () => {
    const { teams, keys } = admin.as(owner);
    await teams.createTeam({ team: { id: "ending" } });
    const { key } = await keys.createKey({ key: { teamId: "ending" } });
    await refused(teams.deleteTeam({ teamId: "ending" }), Code.InvalidArgument);
    await keys.revokeKey({ keyId: key?.id ?? "" });
    await teams.deleteTeam({ teamId: "ending" });
    await refused(keys.createKey({ key: { teamId: "ending" } }), Code.InvalidArgument);
  });

  test("an address is one user's of an organisation, whatever its case", async () => {
    const { users } = admin.as(owner);
    await refused(
      users.createUser({ user: { organizationId: "acme", email: "SEARCH@example.com" } }),
      Code.InvalidArgument,
    );
    await refused(
      users.updateUser({ user: { id: "acme-chat-user", email: "search@example.com" } }),
      Code.InvalidArgument,
    );
    await refused(users.createUser({ user: { organizationId: "acme", email: "nobody" } }), Code.InvalidArgument);
  });

  test("a user who goes takes the own keys along, not those of programs", async () => {
    const { users, keys } = admin.as(owner);
    await users.createUser({ user: { id: "leaver", organizationId: "acme", email: "leaver@example.com" } });
    const own = (await keys.createKey({ key: { organizationId: "acme", userId: "leaver" } })).key?.id ?? "";
    const program = { organizationId: "acme", userId: "leaver", serviceAccount: true };
    const kept = (await keys.createKey({ key: program })).key?.id ?? "";
    assert.deepEqual((await users.deleteUser({ userId: "leaver" })).revokedKeyIds, [own]);
    assert.equal((await keys.getKey({ keyId: own })).key?.revoked, true);
    assert.equal((await keys.getKey({ keyId: kept })).key?.revoked, false);
    await refused(users.getUser({ userId: "leaver" }), Code.NotFound);
  });

  test("pages go on where the one before ended", async () => {
    const { teams } = admin.as(actor("viewer", "other"));
    const first = await teams.listTeams({ pageSize: 1 });
    const second = await teams.listTeams({ pageSize: 1, pageToken: first.nextPageToken });
    assert.deepEqual([first.teams[0]?.id, second.teams[0]?.id], ["other-chat", "other-search"]);
    assert.equal(second.nextPageToken, "");
    await refused(teams.listTeams({ pageToken: "bad" }), Code.InvalidArgument);
    await refused(teams.listTeams({ pageSize: -1 }), Code.InvalidArgument);
  });
});

describe("the audit log", () => {
  test("has each change with who, what, before and after, and no secret", async () => {
    const caller = actor("admin", "acme");
    const { keys, audit } = admin.as(caller);
    const created = await keys.createKey({ key: { displayName: "first" } });
    const keyId = created.key?.id ?? "";
    await keys.updateKey({ key: { id: keyId, displayName: "second", budgetNanosUsd: 5n } });
    const rotated = await keys.rotateKey({ keyId });
    await keys.disableKey({ keyId });
    await keys.disableKey({ keyId });
    const { entries } = await audit.listAudit({ targetKind: "key", targetId: keyId });
    assert.deepEqual(
      entries.map(({ method }) => method.split("/")[1]),
      ["DisableKey", "RotateKey", "UpdateKey", "CreateKey"],
    );
    const update = entries[2];
    assert.deepEqual(
      [update?.before?.["displayName"], update?.after?.["displayName"], update?.after?.["budgetNanosUsd"]],
      ["first", "second", "5"],
    );
    assert.deepEqual([entries[3]?.before, entries[3]?.after?.["id"]], [undefined, keyId]);
    assert.deepEqual(
      [update?.actorKeyId, update?.actorRole, update?.organizationId, update?.requestId],
      [caller.keyId, RoleValue.ADMIN, "acme", "req_test"],
    );
    const text = JSON.stringify(entries, (_name, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
    for (const secret of [created.secret, rotated.secret]) {
      assert.ok(!text.includes(secret.split("-").at(-1) ?? ""));
    }
  });

  test("has what is refused neither as a change nor as an entry", async () => {
    const { teams, audit } = admin.as(actor("admin", "acme"));
    const before = (await audit.listAudit({ pageSize: 1 })).entries[0]?.id;
    await refused(teams.createTeam({ team: { id: "acme-chat" } }), Code.InvalidArgument);
    assert.equal((await audit.listAudit({ pageSize: 1 })).entries[0]?.id, before);
  });

  test("shows an organisation its own changes, page by page", async () => {
    const { audit } = admin.as(actor("viewer", "other"));
    const seen: bigint[] = [];
    let pageToken = "";
    do {
      const page = await audit.listAudit({ pageSize: 2, pageToken });
      for (const entry of page.entries) {
        assert.equal(entry.organizationId, "other");
        seen.push(entry.id);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    assert.equal(seen.length, 7);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => Number(b - a)),
    );
    const team = await admin.as(actor("viewer", "other", "other-chat")).audit.listAudit({});
    assert.deepEqual(team.entries.map(({ targetKind }) => targetKind).toSorted(), ["key", "team"]);
  });

  test("cannot be changed, not even by who reaches the database", async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      for (const sql of ["UPDATE quota.audit SET method = ''", "DELETE FROM quota.audit", "TRUNCATE quota.audit"]) {
        await assert.rejects(client.query(sql), /append-only/);
      }
    } finally {
      await client.end();
    }
  });
});

test("a limit of one organisation is not one of another's", async () => {
  const { limits } = admin.as(actor("admin", "acme"));
  const amount = { case: "budgetNanosUsd", value: 5n } as const;
  await refused(
    limits.createLimit({ limit: { scope: LimitScope.TEAM, value: "other-chat", amount } }),
    Code.InvalidArgument,
  );
  await refused(limits.createLimit({ limit: { scope: LimitScope.TEAM, amount } }), Code.PermissionDenied);
  await refused(
    limits.createLimit({ limit: { scope: LimitScope.MODEL, value: "gpt-4o", amount } }),
    Code.PermissionDenied,
  );
  const { limit } = await limits.createLimit({ limit: { scope: LimitScope.TEAM, value: "acme-chat", amount } });
  const limitId = limit?.id ?? "";
  for (const foreign of [actor("owner", "other"), actor("owner", "acme", "acme-search")]) {
    const calls = admin.as(foreign).limits;
    assert.deepEqual((await calls.listLimits({})).limits, []);
    await refused(calls.getUsage({ limitId }), Code.NotFound);
    await refused(calls.deleteLimit({ limitId }), Code.NotFound);
    await refused(calls.topUp({ limitId, amountNanosUsd: 1n, idempotencyKey: "a" }), Code.NotFound);
  }
  // The team's own admin sees the limit that the organisation has set, and cannot lift it.
  const team = admin.as(actor("owner", "acme", "acme-chat")).limits;
  assert.equal((await team.listLimits({})).limits[0]?.id, limitId);
  await refused(team.deleteLimit({ limitId }), Code.PermissionDenied);
  await refused(team.topUp({ limitId, amountNanosUsd: 1n, idempotencyKey: "a" }), Code.PermissionDenied);
  assert.equal((await team.getUsage({ limitId })).usages[0]?.available, 5n);
  await limits.deleteLimit({ limitId });
});
