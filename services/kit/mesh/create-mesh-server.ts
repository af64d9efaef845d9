import type { Http2ServerRequest } from "node:http2";
import type { Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createHttpServer, type HttpRequest, type HttpServer } from "#kit/http/create-http-server.ts";
import type { Operation } from "#kit/http/create-operations.ts";
import { leaveOnAbort } from "./leave-on-abort.ts";
import { createLinkServer } from "./link/create-link-server.ts";
import { linkContentType, linkPath, maxMessageBytes } from "./link/link-protocol.ts";
import type { ServedService } from "./served-service.ts";

/** Where and what to serve. */
export interface MeshServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly served: readonly ServedService[];
  /** Health, readiness and metrics of this process, over HTTP/1.1 too. */
  readonly operations?: ReadonlyMap<string, Operation>;
  readonly interceptors?: readonly Interceptor[];
  /** How often the callers' life is looked at, in milliseconds; four silent looks end a link. */
  readonly heartbeatMs?: number;
}

/**
 * Serves services to other processes, without TLS, for a network that only the gateway's own processes can reach: over
 * links, and each by itself over Connect and gRPC. Once it stops listening, links end with their calls.
 */
export async function createMeshServer(options: MeshServerOptions): Promise<HttpServer> {
  const interceptors = options.interceptors ?? [];
  const links = createLinkServer({
    served: options.served,
    interceptors,
    maxMessageBytes,
    heartbeatMs: options.heartbeatMs,
  });
  const services = connectNodeAdapter({
    connect: true,
    grpc: true,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
    interceptors: [...interceptors],
    routes(router) {
      for (const { service, implementation } of options.served) {
        router.service(service, leaveOnAbort(service, implementation));
      }
    },
  });
  const server = await createHttpServer({
    host: options.host,
    port: options.port,
    onRequest(req, res) {
      const operation = req.method === "GET" ? options.operations?.get(req.url ?? "") : undefined;
      if (operation !== undefined) {
        operation(res);
      } else if (isLink(req)) {
        // A request of HTTP/2, as isLink says, whose type is hidden behind what it has in common with HTTP/1.1's.
        links.accept((req as unknown as Http2ServerRequest).stream);
      } else {
        services(req, res);
      }
    },
  });
  return {
    url: server.url,
    get running() {
      return server.running;
    },
    stopListening() {
      links.drain();
      server.stopListening();
    },
    idle: server.idle,
    close: server.close,
  };
}

function isLink(req: HttpRequest): boolean {
  return (
    req.url === linkPath &&
    req.method === "POST" &&
    req.httpVersionMajor === 2 &&
    req.headers["content-type"] === linkContentType
  );
}
