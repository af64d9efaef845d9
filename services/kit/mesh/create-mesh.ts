import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, type Interceptor, type ServiceImpl } from "@connectrpc/connect";
import { createLocalClient } from "./create-local-client.ts";
import { createRemoteClient } from "./create-remote-client.ts";
import { createRemotePeer, type RemotePeer } from "./create-remote-peer.ts";
import type { Mesh, MeshAddresses } from "./mesh.ts";
import type { ServedService } from "./served-service.ts";

/** The mesh as whoever runs the process sees it. */
export interface OwnedMesh extends Mesh {
  /** Everything served so far, for the server that takes calls from other processes. */
  readonly served: readonly ServedService[];
  /** Closes the connections to other processes. Calls after it fail. */
  close(): void;
}

/** What a mesh is made of. */
export interface MeshDeps {
  readonly addresses: MeshAddresses;
  /** Run around each call to another process: tracing. */
  readonly interceptors?: readonly Interceptor[];
}

interface LocalService {
  readonly client: unknown;
  readonly instances: ReadonlySet<string> | undefined;
}

/** Makes a mesh. A client resolves where its service lives at its first call, so modules may start in any order. */
export function createMesh(deps: MeshDeps): OwnedMesh {
  const local = new Map<string, LocalService>();
  const served: ServedService[] = [];
  const peers = new Map<string, RemotePeer>();
  const clients = new Map<string, unknown>();

  function resolveClient<S extends DescService>(service: S, instance: string | undefined): Client<S> {
    const here = local.get(service.typeName);
    if (here !== undefined && (instance === undefined || here.instances?.has(instance) !== false)) {
      // serve() stored a client of this very service under its name.
      return here.client as Client<S>;
    }
    const baseUrl = deps.addresses.resolve(service.typeName, instance);
    if (baseUrl === undefined) {
      const name = instance === undefined ? service.typeName : `${service.typeName} for ${instance}`;
      throw new ConnectError(`nothing serves ${name}`, Code.Unavailable);
    }
    let peer = peers.get(baseUrl);
    if (peer === undefined) {
      peer = createRemotePeer(baseUrl, deps.interceptors ?? []);
      peers.set(baseUrl, peer);
    }
    return createRemoteClient(service, peer);
  }

  return {
    served,
    serve<S extends DescService>(service: S, implementation: ServiceImpl<S>, instances?: readonly string[]) {
      if (local.has(service.typeName)) {
        throw new Error(`${service.typeName} is served twice`);
      }
      local.set(service.typeName, {
        client: createLocalClient(service, implementation),
        instances: instances === undefined ? undefined : new Set(instances),
      });
      // Seen from here, any implementation is one of its own descriptor.
      served.push({ service, implementation: implementation as ServiceImpl<DescService> });
    },
    client<S extends DescService>(service: S, instance?: string): Client<S> {
      const name = instance === undefined ? service.typeName : `${service.typeName}\n${instance}`;
      let client = clients.get(name);
      if (client === undefined) {
        client = lazyClient(service, () => resolveClient(service, instance));
        clients.set(name, client);
      }
      // Stored above under the name of this very service.
      return client as Client<S>;
    },
    close() {
      for (const peer of peers.values()) {
        peer.close();
      }
      peers.clear();
    },
  };
}

type AnyCall = (...args: unknown[]) => unknown;

/** A client that finds the real one at its first call, and fails as a call fails when there is none. */
function lazyClient<S extends DescService>(service: S, resolve: () => Client<S>): Client<S> {
  const client: Record<string, AnyCall> = {};
  for (const method of service.methods) {
    client[method.localName] = (...args) => {
      let real: Record<string, AnyCall>;
      try {
        real = resolve() as Record<string, AnyCall>;
      } catch (error) {
        if (method.methodKind === "unary") {
          return Promise.reject(error);
        }
        return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
      }
      // From now on callers reach the real method directly.
      Object.assign(client, real);
      return real[method.localName]?.(...args);
    };
  }
  // Each method of S was added above and hands its arguments on unchanged.
  return client as Client<S>;
}
