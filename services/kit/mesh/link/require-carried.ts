import type { DescMethod } from "@bufbuild/protobuf";

/** Throws for a method that streams requests, which no link carries: no service of the mesh has one. */
export function requireCarried(method: DescMethod): void {
  if (method.methodKind !== "unary" && method.methodKind !== "server_streaming") {
    throw new TypeError(`${method.parent.typeName}.${method.name} streams requests, which the mesh does not carry`);
  }
}
