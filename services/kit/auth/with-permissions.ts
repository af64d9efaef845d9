import type { DescService } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { readActor } from "./actor.ts";
import { requirePermission } from "./permissions.ts";

type Handler = (request: unknown, context: HandlerContext) => unknown;

/**
 * A service that refuses callers whose role does not suffice. Calls that services of the mesh make for themselves pass.
 * The scope of a caller is held by the service itself.
 */
export function withPermissions<S extends DescService>(service: S, implementation: ServiceImpl<S>): ServiceImpl<S> {
  const guarded: Record<string, Handler> = {};
  for (const method of service.methods) {
    // The types of S say that the implementation has a handler under each method's local name.
    const handler = (implementation as Record<string, Handler>)[method.localName];
    guarded[method.localName] = (request, context) => {
      const actor = readActor(context.requestHeader);
      if (actor !== undefined) {
        requirePermission(actor, method);
      }
      return handler?.call(implementation, request, context);
    };
  }
  // Each method of S was added above with the shape of its own handler.
  return guarded as ServiceImpl<S>;
}
