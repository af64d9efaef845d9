import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { type Key, KeySchema } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { Role as RoleValue } from "#gen/penstock/admin/v1/role_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { type Actor, actorHeaders, isAtLeast, type Role, roles } from "#kit/auth/actor.ts";
import { keyFields, methodName, permissionOf, permissions } from "#kit/auth/permissions.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { adminServices, owner, refused, startAdmin, type TestAdmin } from "./testing.ts";

const postgres = await startTestPostgres();
let admin: TestAdmin;
before(async () => {
  admin = await startAdmin(await postgres.createDatabase());
  const { organizations, teams, users, limits } = admin.as(owner);
  for (const id of ["acme", "other"]) {
    await organizations.createOrganization({ organization: { id } });
  }
  await teams.createTeam({ team: { id: "search", organizationId: "acme" } });
  await users.createUser({ user: { id: "ada", organizationId: "acme", email: "ada@example.com" } });
  await limits.createLimit({ limit: { scope: 5, tag: "project", amount: { case: "concurrency", value: 9n } } });
});
after(async () => {
  await admin.stop();
  await postgres.close();
});

const inAcme = (role: Role): Actor => ({ keyId: role, userId: "", role, organizationId: "acme", teamId: "" });

test("the table of permissions has all methods of all admin services, and none that does not exist", () => {
  const methods = adminServices.flatMap((service) => service.methods);
  assert.deepEqual(methods.filter((method) => permissionOf(method) === undefined).map(methodName), []);
  const accounting = [AccountingService, RepairService, AlertService].flatMap((service) => service.methods);
  const all = [...methods, ...accounting, ...RouterService.methods].map(methodName);
  assert.deepEqual(
    Object.keys(permissions).filter((name) => !all.includes(name)),
    [],
  );
});

test("each method is refused to each role below its least, and to nobody else", async () => {
  for (const service of adminServices) {
    // The methods of a client by their local names; all are unary.
    const client = admin.mesh.client(service) as unknown as Record<
      string,
      (request: object, options: CallOptions) => Promise<unknown>
    >;
    for (const method of service.methods) {
      for (const role of roles) {
        const call = client[method.localName]?.({}, { headers: actorHeaders({ ...owner, role }) });
        const error: unknown = await call?.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        const isRefused = error instanceof ConnectError && error.code === Code.PermissionDenied;
        const mayCall = isAtLeast(role, permissionOf(method)?.least ?? "owner");
        assert.equal(isRefused, !mayCall, `${methodName(method)} as ${role}: ${String(error)}`);
      }
    }
  }
});

test("what takes everything is refused to who sees one organisation", async () => {
  const { organizations } = admin.as(inAcme("owner"));
  await refused(organizations.createOrganization({ organization: { id: "mine" } }), Code.PermissionDenied);
  await refused(organizations.deleteOrganization({ organizationId: "acme" }), Code.PermissionDenied);
});

describe("each field of a key", () => {
  /** A change of each field that people may set. */
  const changes: Readonly<Record<string, Partial<Key>>> = {
    displayName: { displayName: "renamed" },
    allowedModels: { allowedModels: ["gpt-*"] },
    budgetNanosUsd: { budgetNanosUsd: 5n },
    requestsPerMinute: { requestsPerMinute: 5n },
    tokensPerMinute: { tokensPerMinute: 5n },
    expireTime: { expireTime: timestampFromMs(4_000_000_000_000) },
    tags: { tags: { project: "x" } },
    teamId: { teamId: "search" },
    organizationId: { organizationId: "default" },
    userId: { userId: "ada" },
    serviceAccount: { serviceAccount: true },
    logBodies: { logBodies: true },
    admin: { admin: true, role: RoleValue.VIEWER },
    role: { admin: true, role: RoleValue.ADMIN },
  };

  test("is in the table, and has a change here when people may set it", () => {
    const names = KeySchema.fields.map((field) => field.localName);
    assert.deepEqual(Object.keys(keyFields).toSorted(), names.toSorted());
    assert.deepEqual(
      Object.entries(keyFields)
        .flatMap(([name, rule]) => (rule === "set by the service" ? [] : [name]))
        .toSorted(),
      Object.keys(changes).toSorted(),
    );
  });

  for (const [field, change] of Object.entries(changes)) {
    for (const role of roles) {
      test(`${field}, set by ${role}`, async () => {
        const rule = keyFields[field as keyof typeof keyFields]; // The test above holds the names together.
        const least = rule === "tags" || rule === "set by the service" ? "admin" : rule;
        const actor: Actor = { ...owner, role };
        const { keys } = admin.as(actor);
        const denied = !isAtLeast(role, least);
        const created = keys.createKey({
          key: Object.assign(create(KeySchema), { organizationId: "default" }, change, ofOrganization(field)),
        });
        await (denied ? refused(created, Code.PermissionDenied, "CreateKey") : created);
        if (field === "admin" || field === "role") {
          // A key stays what it was made.
          return;
        }
        const { key } = await admin.as(owner).keys.createKey({ key: { organizationId: "acme" } });
        assert.ok(key !== undefined);
        const updated = keys.updateKey({ key: Object.assign(key, change) });
        await (denied ? refused(updated, Code.PermissionDenied, "UpdateKey") : updated);
      });
    }
  }

  /** The user is one of acme, and every organisation but the usual one takes an admin. */
  function ofOrganization(field: string): { readonly organizationId?: string } {
    switch (field) {
      case "userId":
      case "organizationId":
        return { organizationId: "acme" };
      case "teamId":
        return { organizationId: "" };
      default:
        return {};
    }
  }

  test("a tag that no limit counts by, set by an editor", async () => {
    const { keys } = admin.as({ ...owner, role: "editor" });
    const { key } = await keys.createKey({ key: { tags: { colour: "blue" } } });
    assert.deepEqual(key?.tags, { colour: "blue" });
  });
});

describe("an admin key", () => {
  const make = async (role: RoleValue, organizationId = "acme") => {
    const { key } = await admin.as(owner).keys.createKey({ key: { admin: true, role, organizationId } });
    return key?.id ?? "";
  };

  test("is not made above the role of who makes it, nor beyond its scope", async () => {
    const { keys } = admin.as(inAcme("admin"));
    await refused(keys.createKey({ key: { admin: true } }), Code.PermissionDenied);
    await refused(keys.createKey({ key: { admin: true, role: RoleValue.OWNER } }), Code.PermissionDenied);
    await refused(
      keys.createKey({ key: { admin: true, role: RoleValue.VIEWER, organizationId: "other" } }),
      Code.InvalidArgument,
    );
    const { key } = await keys.createKey({ key: { admin: true, role: RoleValue.ADMIN } });
    assert.deepEqual([key?.organizationId, key?.teamId, key?.role], ["acme", "", RoleValue.ADMIN]);
    const ofTeam = { ...inAcme("owner"), teamId: "search" };
    const made = await admin.as(ofTeam).keys.createKey({ key: { admin: true, role: RoleValue.OWNER } });
    assert.deepEqual([made.key?.organizationId, made.key?.teamId], ["acme", "search"]);
  });

  test("is not touched by a role below its own: who rotates it knows its secret", async () => {
    const keyId = await make(RoleValue.OWNER);
    for (const actor of [inAcme("admin"), inAcme("editor")]) {
      const { keys } = admin.as(actor);
      await refused(keys.rotateKey({ keyId }), Code.PermissionDenied);
      await refused(keys.disableKey({ keyId }), Code.PermissionDenied);
      await refused(keys.enableKey({ keyId }), Code.PermissionDenied);
      await refused(keys.revokeKey({ keyId }), Code.PermissionDenied);
      await refused(keys.updateKey({ key: { id: keyId } }), Code.PermissionDenied);
    }
    assert.notEqual((await admin.as(inAcme("owner")).keys.rotateKey({ keyId })).secret, "");
  });

  test("is not raised above the role of who changes it", async () => {
    const keyId = await make(RoleValue.VIEWER);
    const { keys } = admin.as(inAcme("admin"));
    await refused(keys.updateKey({ key: { id: keyId, role: RoleValue.OWNER } }), Code.PermissionDenied);
    assert.equal((await keys.updateKey({ key: { id: keyId, role: RoleValue.EDITOR } })).key?.role, RoleValue.EDITOR);
  });
});
