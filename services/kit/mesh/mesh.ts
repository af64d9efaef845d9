import type { DescService } from "@bufbuild/protobuf";
import type { Client, ServiceImpl } from "@connectrpc/connect";

/**
 * Gives typed clients of services, wherever they live: a plain call when the service is served in this process, else
 * frames on the one link to its process. Callers cannot tell which.
 *
 * What both kinds promise, beyond Connect's own contract: leaving a server stream (`return()` of its iterator, so also
 * `break` in `for await`) reaches the handler at once, even while a `next()` is pending; errors that a handler throws
 * arrive as ConnectError, and anything else that it throws as an internal error without its message.
 */
export interface Mesh {
  /**
   * Serves a service from this process, to callers inside and, when the mesh listens, outside. `instances` limits it to
   * some instances of the service, such as the providers of a connector; without it, it serves all.
   */
  serve<S extends DescService>(service: S, implementation: ServiceImpl<S>, instances?: readonly string[]): void;
  /** A client of a service, or of one instance of it. The same arguments give the same client. */
  client<S extends DescService>(service: S, instance?: string): Client<S>;
}

/** Where services of other processes are. */
export interface MeshAddresses {
  /**
   * The base URL of a service (by its full protobuf name) or of one instance of it; undefined when nothing is known,
   * which makes each call fail with UNAVAILABLE.
   */
  resolve(serviceTypeName: string, instance: string | undefined): string | undefined;
}
