import type { Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createHttpServer, type HttpServer } from "#kit/http/create-http-server.ts";
import type { Operation } from "#kit/http/create-operations.ts";
import type { ServedService } from "./create-mesh.ts";
import { maxMessageBytes } from "./create-remote-client.ts";
import { leaveOnAbort } from "./leave-on-abort.ts";

/** Where and what to serve. */
export interface MeshServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly served: readonly ServedService[];
  /** Health, readiness and metrics of this process, over HTTP/1.1 too. */
  readonly operations?: ReadonlyMap<string, Operation>;
  readonly interceptors?: readonly Interceptor[];
}

/** Serves services to other processes, without TLS, for a network that only the gateway's own processes can reach. */
export async function createMeshServer(options: MeshServerOptions): Promise<HttpServer> {
  const services = connectNodeAdapter({
    connect: true,
    grpc: true,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
    interceptors: [...(options.interceptors ?? [])],
    routes(router) {
      for (const { service, implementation } of options.served) {
        router.service(service, leaveOnAbort(service, implementation));
      }
    },
  });
  return await createHttpServer({
    host: options.host,
    port: options.port,
    onRequest(req, res) {
      const operation = req.method === "GET" ? options.operations?.get(req.url ?? "") : undefined;
      if (operation === undefined) {
        services(req, res);
      } else {
        operation(res);
      }
    },
  });
}
