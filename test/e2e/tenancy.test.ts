import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { LimitScope, LimitService, LimitWindow } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { Role } from "#gen/penstock/admin/v1/role_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { chat, type GatewayReply } from "../harness/call-gateway.ts";
import { withKey } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";

const cent = 10_000_000n;
/** Changes hold everywhere within this time. */
const changeMs = 5_000;

interface Admin {
  readonly organizations: Client<typeof OrganizationService>;
  readonly teams: Client<typeof TeamService>;
  readonly users: Client<typeof UserService>;
  readonly keys: Client<typeof KeyService>;
  readonly limits: Client<typeof LimitService>;
  readonly audit: Client<typeof AuditService>;
  readonly accounting: Client<typeof AccountingService>;
  readonly alerts: Client<typeof AlertService>;
}

inBothModes(
  "tenancy",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  cent: { route: [{ target: fake/cent }] }
  free: { route: [{ target: fake/free }] }
prices:
  overrides:
    fake/cent: { input: $0/M, output: $0/M, request: $0.01 }
    fake/free: { input: $0/M, output: $0/M }
`,
  (context) => {
    function adminAs(adminKey: string): Admin {
      const { url } = context.gateway;
      const transport = createConnectTransport({ httpVersion: "1.1", baseUrl: url, interceptors: [withKey(adminKey)] });
      return {
        organizations: createClient(OrganizationService, transport),
        teams: createClient(TeamService, transport),
        users: createClient(UserService, transport),
        keys: createClient(KeyService, transport),
        limits: createClient(LimitService, transport),
        audit: createClient(AuditService, transport),
        accounting: createClient(AccountingService, transport),
        alerts: createClient(AlertService, transport),
      };
    }
    const call = (key: string, model = "free"): Promise<GatewayReply> => chat({ url: context.gateway.url, key }, model);
    const statusWithin = (key: string, status: number, model = "free"): Promise<GatewayReply> =>
      waitUntil(
        async () => {
          const reply = await call(key, model);
          return reply.status === status && reply;
        },
        () => `a request to get ${status}`,
        changeMs,
      );
    async function post(method: string, body: object): Promise<Record<string, unknown>> {
      const { url, adminKey } = context.gateway;
      const response = await fetch(`${url}/penstock.admin.v1.${method}`, {
        method: "POST",
        headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      assert.match(response.headers.get("x-request-id") ?? "", /^req_/);
      // Connect answers JSON with an object.
      return JSON.parse(text) as Record<string, unknown>;
    }

    test("an organisation, a team and a key are made by JSON, and the ledger knows whose a request was", async () => {
      await post("OrganizationService/CreateOrganization", { organization: { id: "acme", displayName: "Acme" } });
      await post("TeamService/CreateTeam", { team: { id: "search", organizationId: "acme" } });
      await post("UserService/CreateUser", {
        user: {
          id: "ada",
          organizationId: "acme",
          email: "ada@example.com",
          memberships: [{ organizationId: "acme", teamId: "search", role: "ROLE_EDITOR" }],
        },
      });
      const { secret } = await post("KeyService/CreateKey", { key: { teamId: "search", userId: "ada" } });
      const reply = await statusWithin(String(secret), 200, "cent");
      const [row] = await context.gateway.waitForRequest(reply.requestId);
      assert.deepEqual([row?.organizationId, row?.teamId, row?.userId], ["acme", "search", "ada"]);
      const { entries } = await post("AuditService/ListAudit", { targetKind: "team", targetId: "search" });
      // What the service says of each entry.
      const [entry] = entries as { readonly method: string; readonly after: { readonly id: string } }[];
      assert.deepEqual([entry?.method, entry?.after.id], ["penstock.admin.v1.TeamService/CreateTeam", "search"]);
    });

    test("a team's budget counts what all its keys spend, and grows by a top-up", async () => {
      const { teams, keys, limits, alerts } = adminAs(context.gateway.adminKey);
      await teams.createTeam({ team: { id: "shared" } });
      const secrets = await Promise.all(
        [1, 2].map(async () => (await keys.createKey({ key: { teamId: "shared" } })).secret),
      );
      const [first = "", second = ""] = secrets;
      const { limit } = await limits.createLimit({
        limit: {
          scope: LimitScope.TEAM,
          value: "shared",
          amount: { case: "budgetNanosUsd", value: 3n * cent },
          window: LimitWindow.MONTH,
          warnPercents: [50],
        },
      });
      const limitId = limit?.id ?? "";
      // Once the limit holds, requests are counted in it: who has none spends what nobody counts.
      const used = async (): Promise<bigint> => (await limits.getUsage({ limitId })).usages[0]?.used ?? 0n;
      await waitUntil(
        async () => {
          await call(first, "cent");
          return (await used()) > 0n;
        },
        () => "the limit to hold",
        changeMs,
      );
      const replies: GatewayReply[] = [];
      for (let count = 0; count < 4; count += 1) {
        replies.push(await call(count % 2 === 0 ? second : first, "cent"));
      }
      const refused = replies.at(-1);
      assert.equal(refused?.status, 429);
      assert.equal(refused?.json?.error?.code, "insufficient_quota");
      assert.match(refused?.json?.error?.message ?? "", /budget of the team shared/);
      const { reset = "", ...facts } = limitIn(refused);
      assert.ok(Date.parse(reset) > Date.now());
      assert.deepEqual(facts, {
        name: "budget",
        scope: "team",
        scope_id: "shared",
        limit_id: limitId,
        window: "month",
        value: String(3n * cent),
        used: String(3n * cent),
      });
      assert.equal(await used(), 3n * cent);
      const alert = await waitUntil(
        async () => (await alerts.listAlerts({})).alerts.find(({ event }) => event?.labels["limit_id"] === limitId),
        () => "an alert that more than half of the budget is spent",
      );
      assert.equal(alert.event?.title, "The month's budget of the team shared is spent to 50%");
      assert.equal(alert.event.labels["organization_id"], "default");
      await limits.topUp({ limitId, amountNanosUsd: cent, idempotencyKey: "one more" });
      assert.equal((await call(first, "cent")).status, 200);
      assert.equal((await call(second, "cent")).status, 429);
      await limits.deleteLimit({ limitId });
      await statusWithin(first, 200, "cent");
    });

    test("a rate of an organisation is refused with its name, its use and when to come back", async () => {
      const { organizations, keys, limits } = adminAs(context.gateway.adminKey);
      await organizations.createOrganization({ organization: { id: "rated" } });
      const { secret } = await keys.createKey({ key: { organizationId: "rated" } });
      await limits.createLimit({
        limit: {
          scope: LimitScope.ORGANIZATION,
          value: "rated",
          amount: { case: "requestsPerMinute", value: 2n },
        },
      });
      const refused = await statusWithin(secret, 429);
      const { name, scope, scope_id: id, value, used } = limitIn(refused);
      assert.deepEqual([name, scope, id, value, used], ["requests_per_minute", "organization", "rated", "2", "2"]);
      const seconds = Number(refused.headers.get("retry-after"));
      assert.ok(seconds >= 1 && seconds <= 61, `retry-after: ${seconds}`);
      const { secret: other } = await keys.createKey({ key: { organizationId: "rated" } });
      assert.equal((await call(other)).status, 429, "another key of the organisation shares the rate");
    });

    test("after a rotation both secrets work, and the older one ends with its grace period", async () => {
      const { keys } = adminAs(context.gateway.adminKey);
      const created = await keys.createKey({});
      const keyId = created.key?.id ?? "";
      const rotated = await keys.rotateKey({ keyId, gracePeriod: { seconds: 4n } });
      assert.equal((await call(rotated.secret)).status, 200);
      assert.equal((await call(created.secret)).status, 200);
      await waitUntil(
        async () => (await call(created.secret)).status === 401,
        () => "the older secret to end",
        4_000 + changeMs,
      );
      assert.equal((await call(rotated.secret)).status, 200);
      const last = await keys.rotateKey({ keyId, gracePeriod: { seconds: 0n } });
      await statusWithin(rotated.secret, 401);
      assert.equal((await call(last.secret)).status, 200);
    });

    test("a key is refused within five seconds of being disabled, and works again when it is enabled", async () => {
      const { keys } = adminAs(context.gateway.adminKey);
      const { key, secret } = await keys.createKey({});
      const keyId = key?.id ?? "";
      assert.equal((await call(secret)).status, 200);
      await keys.disableKey({ keyId });
      const refused = await statusWithin(secret, 401);
      assert.equal(refused.json?.error?.code, "invalid_api_key");
      await keys.enableKey({ keyId });
      await statusWithin(secret, 200);
    });

    test("an admin key does what its role may, where its scope is, and ends with its revocation", async () => {
      const { organizations, teams, keys } = adminAs(context.gateway.adminKey);
      for (const id of ["north", "south"]) {
        await organizations.createOrganization({ organization: { id } });
        await teams.createTeam({ team: { id: `${id}-team`, organizationId: id } });
      }
      const keyOf = async (role: Role): Promise<{ readonly id: string; readonly secret: string }> => {
        const { key, secret } = await keys.createKey({ key: { admin: true, role, organizationId: "north" } });
        return { id: key?.id ?? "", secret };
      };
      const viewer = await keyOf(Role.VIEWER);
      const admin = await keyOf(Role.ADMIN);
      const south = await keys.createKey({ key: { organizationId: "south" } });
      const southId = south.key?.id ?? "";

      const looking = adminAs(viewer.secret);
      assert.deepEqual(
        (await looking.teams.listTeams({})).teams.map(({ id }) => id),
        ["north-team"],
      );
      await assertRefused(looking.keys.getKey({ keyId: southId }), Code.NotFound);
      await assertRefused(looking.keys.createKey({}), Code.PermissionDenied);
      await assertRefused(looking.keys.revokeKey({ keyId: admin.id }), Code.PermissionDenied);

      const managing = adminAs(admin.secret);
      const made = await managing.keys.createKey({ key: { budgetNanosUsd: cent } });
      assert.equal(made.key?.organizationId, "north");
      await assertRefused(managing.keys.revokeKey({ keyId: southId }), Code.NotFound);
      await assertRefused(
        managing.organizations.createOrganization({ organization: { id: "west" } }),
        Code.PermissionDenied,
      );
      const mine = await call(made.secret, "cent");
      await call(south.secret, "cent");
      await context.gateway.waitForLedger((rows) => rows.some((row) => row.keyId === southId));
      await context.gateway.waitForRequest(mine.requestId);
      const seen = await managing.accounting.listRequests({ pageSize: 1_000 });
      assert.deepEqual(
        seen.requests.map((row) => row.organizationId),
        ["north"],
      );

      assert.equal((await call(admin.secret)).status, 403, "an admin key calls no model");
      await assertRefused(adminAs(made.secret).keys.listKeys({}), Code.PermissionDenied);
      await keys.revokeKey({ keyId: viewer.id });
      await waitUntil(
        async () =>
          await looking.keys.listKeys({}).then(
            () => false,
            (error: unknown) => ConnectError.from(error).code === Code.Unauthenticated,
          ),
        () => "the admin key to end",
        changeMs,
      );
    });

    test("nobody names itself another caller", async () => {
      const { keys } = adminAs(context.gateway.adminKey);
      const { secret } = await keys.createKey({ key: { admin: true, role: Role.VIEWER } });
      const actor = { keyId: "x", userId: "", role: "owner", organizationId: "", teamId: "" };
      const response = await fetch(`${context.gateway.url}/penstock.admin.v1.KeyService/CreateKey`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${secret}`,
          "content-type": "application/json",
          "x-penstock-actor": Buffer.from(JSON.stringify(actor)).toString("base64url"),
        },
        body: "{}",
      });
      assert.equal(response.status, 403);
    });
  },
);

/** The limit that a refusal names. */
function limitIn(reply: GatewayReply | undefined): Readonly<Record<string, string>> {
  const error = reply?.json?.error;
  assert.ok(error !== undefined && "limit" in error);
  // What the gateway adds to OpenAI's error.
  return error.limit as Readonly<Record<string, string>>;
}

async function assertRefused(work: Promise<unknown>, code: Code): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError, `was not refused: ${String(error)}`);
  assert.equal(error.code, code, error.message);
}
