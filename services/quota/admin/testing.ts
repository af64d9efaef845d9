import assert from "node:assert/strict";
import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, type Code, ConnectError } from "@connectrpc/connect";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { LimitService } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { type Actor, actorHeaders } from "#kit/auth/actor.ts";
import { fixedLive } from "#kit/config/create-live-config.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { LimitsConfig } from "../limits/limits-config.ts";
import { createQuotaModule, quotaConfig } from "../module.ts";
import { ledgerOf } from "../testing.ts";

/** The services that admin keys call, of the process under test. */
export const adminServices = [
  OrganizationService,
  TeamService,
  UserService,
  KeyService,
  LimitService,
  AuditService,
] as const;

/** A caller who may do everything. */
export const owner: Actor = { keyId: "owner", userId: "", role: "owner", organizationId: "", teamId: "" };

/** Clients of the admin services that call as somebody. */
export interface AdminClients {
  readonly organizations: Client<typeof OrganizationService>;
  readonly teams: Client<typeof TeamService>;
  readonly users: Client<typeof UserService>;
  readonly keys: Client<typeof KeyService>;
  readonly limits: Client<typeof LimitService>;
  readonly audit: Client<typeof AuditService>;
}

/** A quota process. */
export interface TestAdmin {
  readonly mesh: Mesh;
  readonly quota: Client<typeof QuotaService>;
  as(actor: Actor): AdminClients;
  stop(): Promise<void>;
}

/** Starts quota on a database. */
export async function startAdmin(databaseUrl: string, limits: LimitsConfig = []): Promise<TestAdmin> {
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(AccountingService, ledgerOf(new Map()));
  const module = createQuotaModule({
    mesh,
    config: quotaConfig.parse({ refill_timeout: "10s" }),
    limits: fixedLive(limits),
    databaseUrl,
    adminKey: "admin-key-of-the-tests-0123456789",
  });
  await module.start();
  return {
    mesh,
    quota: mesh.client(QuotaService),
    as: (actor) => ({
      organizations: clientAs(mesh, OrganizationService, actor),
      teams: clientAs(mesh, TeamService, actor),
      users: clientAs(mesh, UserService, actor),
      keys: clientAs(mesh, KeyService, actor),
      limits: clientAs(mesh, LimitService, actor),
      audit: clientAs(mesh, AuditService, actor),
    }),
    stop: () => module.stop(),
  };
}

/** A client whose calls are made on behalf of somebody. */
function clientAs<S extends DescService>(mesh: Mesh, service: S, actor: Actor): Client<S> {
  // The methods of a client by their local names; all are unary.
  const client = mesh.client(service) as unknown as Record<
    string,
    (request: unknown, options: CallOptions) => Promise<unknown>
  >;
  const headers = { ...actorHeaders(actor), "x-request-id": "req_test" };
  const wrapped = Object.fromEntries(
    service.methods.map(({ localName }) => [
      localName,
      (request: unknown) => {
        const call = client[localName];
        assert.ok(call !== undefined);
        return call(request, { headers });
      },
    ]),
  );
  // Each method takes what that of the client takes.
  return wrapped as unknown as Client<S>;
}

/** Asserts that a call fails with a code. */
export async function refused(call: Promise<unknown>, code: Code, what?: string): Promise<void> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConnectError, `${what ?? "the call"} was not refused: ${String(error)}`);
  assert.equal(error.code, code, `${what ?? ""} ${error.message}`);
}
