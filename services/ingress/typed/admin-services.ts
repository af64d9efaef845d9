import type { DescMethod, DescMethodServerStreaming, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import type { CallOptions, ConnectRouter, HandlerContext, MethodImpl } from "@connectrpc/connect";
import { AuditService } from "#gen/penstock/admin/v1/audit_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { LimitService } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { UserService } from "#gen/penstock/admin/v1/user_service_pb.ts";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { type Actor, actorHeaders } from "#kit/auth/actor.ts";
import { permissionOf, requirePermission } from "#kit/auth/permissions.ts";
import { roleOfValue } from "#kit/auth/role-values.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import { newRequestId } from "../http/new-request-id.ts";
import { readCredential } from "../http/read-credential.ts";
import type { KeyDirectory } from "../snapshots/key-directory.ts";

/** What the admin services need. */
export interface AdminServicesDeps {
  readonly mesh: Mesh;
  readonly keys: KeyDirectory;
}

/** The services with methods for admin keys: those that `kit/auth/permissions.ts` lists, and no others. */
const published: readonly DescService[] = [
  OrganizationService,
  TeamService,
  UserService,
  KeyService,
  LimitService,
  AuditService,
  AccountingService,
  RepairService,
  AlertService,
  RouterService,
];

type AnyUnary = (request: unknown, options?: CallOptions) => Promise<object>;
type AnyStream = (request: unknown, options?: CallOptions) => AsyncIterable<object>;

/** Serves admin calls on the public port: each is authenticated here and answered by the service that owns it. */
export function addAdminServices(router: ConnectRouter, deps: AdminServicesDeps): void {
  for (const service of published) {
    for (const method of service.methods) {
      if (permissionOf(method) !== undefined) {
        addMethod(router, service, method, deps);
      }
    }
  }
}

function addMethod(router: ConnectRouter, service: DescService, method: DescMethod, deps: AdminServicesDeps): void {
  // The client was made from this method's service, so it has the method, of the kind that is asked for below.
  const client: unknown = deps.mesh.client(service);
  const options = async (context: HandlerContext): Promise<CallOptions> => {
    const key = await deps.keys.find(readCredential((name) => context.requestHeader.get(name) ?? undefined));
    if (!key.admin) {
      throw gatewayError(ErrorReason.PERMISSION_DENIED, "This call takes an admin key.");
    }
    const actor = actorOf(key);
    requirePermission(actor, method);
    const requestId = newRequestId();
    context.responseHeader.set("x-request-id", requestId);
    return { headers: { ...actorHeaders(actor), "x-request-id": requestId }, signal: context.signal };
  };
  // The methods of a client are looked up for each call: the mesh replaces them once it knows where the service lives.
  if (method.methodKind === "unary") {
    const forward = async (request: unknown, context: HandlerContext): Promise<unknown> =>
      (client as Record<string, AnyUnary>)[method.localName]?.(request, await options(context));
    // A unary method as just checked, whose own client makes the answer.
    router.rpc(method as DescMethodUnary, forward as MethodImpl<DescMethodUnary>);
  } else if (method.methodKind === "server_streaming") {
    const forward = async function* (request: unknown, context: HandlerContext): AsyncIterable<unknown> {
      yield* (client as Record<string, AnyStream>)[method.localName]?.(request, await options(context)) ?? [];
    };
    // A server stream as just checked, whose own client makes the answers.
    router.rpc(method as DescMethodServerStreaming, forward as MethodImpl<DescMethodServerStreaming>);
  } else {
    throw new TypeError(`${service.typeName}.${method.name} streams requests`);
  }
}

function actorOf({ id, userId, role, organizationId, teamId }: KeyRecord): Actor {
  // A role that this version does not know may look, and no more.
  return { keyId: id, userId, role: roleOfValue(role) ?? "viewer", organizationId, teamId };
}
