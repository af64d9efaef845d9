import type { DescMethod, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import type { CallOptions, ConnectRouter, HandlerContext, MethodImpl } from "@connectrpc/connect";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import { readCredential } from "../http/read-credential.ts";
import type { KeyDirectory } from "../snapshots/key-directory.ts";

/** What the admin services need. */
export interface AdminServicesDeps {
  readonly mesh: Mesh;
  readonly keys: KeyDirectory;
}

/** The methods that an admin key may call from outside. What is not named here cannot be reached. */
const published: readonly { readonly service: DescService; readonly methods: readonly string[] }[] = [
  { service: KeyService, methods: ["CreateKey", "GetKey", "ListKeys", "UpdateKey", "RevokeKey"] },
  { service: AccountingService, methods: ["QueryUsage", "ListRequests", "GetRequest"] },
  { service: RouterService, methods: ["Explain"] },
];

type AnyUnary = (request: unknown, options?: CallOptions) => Promise<object>;

/** Serves admin calls on the public port: each is authenticated here and answered by the service that owns it. */
export function addAdminServices(router: ConnectRouter, deps: AdminServicesDeps): void {
  for (const { service, methods } of published) {
    for (const method of service.methods) {
      if (methods.includes(method.name)) {
        addMethod(router, service, method, deps);
      }
    }
  }
}

function addMethod(router: ConnectRouter, service: DescService, method: DescMethod, deps: AdminServicesDeps): void {
  if (method.methodKind !== "unary") {
    throw new TypeError(`${service.typeName}.${method.name} is not unary`);
  }
  // The client was made from this method's service, so it has the method, and it is unary as checked above.
  const client = deps.mesh.client(service) as unknown as Record<string, AnyUnary>;
  const forward = async (request: unknown, context: HandlerContext): Promise<unknown> => {
    // Looked up for each call: the mesh replaces a client's methods once it knows where the service lives.
    const call = client[method.localName];
    const key = await deps.keys.find(readCredential((name) => context.requestHeader.get(name) ?? undefined));
    if (!key.admin) {
      throw gatewayError(ErrorReason.PERMISSION_DENIED, "This call takes an admin key.");
    }
    return await call?.(request);
  };
  // A unary method as checked above, whose own client makes the answer.
  router.rpc(method as DescMethodUnary, forward as MethodImpl<DescMethodUnary>);
}
