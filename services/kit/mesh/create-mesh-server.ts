import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { ServedService } from "./create-mesh.ts";
import { maxMessageBytes } from "./create-remote-client.ts";
import { leaveOnAbort } from "./leave-on-abort.ts";

/** Takes calls from other processes. */
export interface MeshServer {
  /** The base URL on which it listens. */
  readonly url: string;
  /** Takes no new connections or streams and resolves when the running calls are done or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Cuts whatever still runs. */
  close(): Promise<void>;
}

/** Where and what to serve. */
export interface MeshServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly served: readonly ServedService[];
  readonly interceptors?: readonly Interceptor[];
}

/** Serves services over HTTP/2 without TLS, for a network that only the gateway's own processes can reach. */
export async function createMeshServer(options: MeshServerOptions): Promise<MeshServer> {
  const handler = connectNodeAdapter({
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
  let running = 0;
  let onIdle: (() => void) | undefined;
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({ settings: { maxConcurrentStreams: 10_000 } }, (req, res) => {
    if (req.method === "GET" && (req.url === "/healthz" || req.url === "/readyz")) {
      res.writeHead(200).end("ok\n");
      return;
    }
    running += 1;
    res.on("close", () => {
      running -= 1;
      if (running === 0) {
        onIdle?.();
      }
    });
    handler(req, res);
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A peer that dies resets its session; its calls see their own errors.
    session.on("error", () => session.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  // listen() has resolved with a host and a port, so the address is one of TCP.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    async drain(signal) {
      for (const session of sessions) {
        session.goaway();
      }
      if (running > 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) {
        session.destroy();
      }
      await closed;
    },
  };
}
