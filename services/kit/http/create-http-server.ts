import { randomUUID } from "node:crypto";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";

/** A request of either protocol: HTTP/2's compatibility objects have all that the gateway uses of HTTP/1.1's. */
export type HttpRequest = http.IncomingMessage;
/** A response of either protocol. */
export type HttpResponse = http.ServerResponse;

/** Takes requests over HTTP/1.1 and HTTP/2 on one port, without TLS. */
export interface HttpServer {
  /** The base URL on which it listens. */
  readonly url: string;
  /** How many requests run now. */
  readonly running: number;
  /** Takes no new connections; idle ones are closed, running requests go on. */
  stopListening(): void;
  /** Resolves when no request runs any more, or when the signal aborts. */
  idle(signal: AbortSignal): Promise<void>;
  /** Cuts whatever still runs. */
  close(): Promise<void>;
}

/** Where to listen and whom to tell. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly onRequest: (req: HttpRequest, res: HttpResponse) => void;
}

/** The first bytes of every HTTP/2 connection. */
const http2Preface = "PRI * HTTP/2.0";

/** Starts a server. Rejects when the address cannot be taken. */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let running = 0;
  let onIdle: (() => void) | undefined;
  const onRequest = (req: HttpRequest, res: HttpResponse): void => {
    running += 1;
    res.on("close", () => {
      running -= 1;
      if (running === 0) {
        onIdle?.();
      }
    });
    options.onRequest(req, res);
  };
  const http1Server = http.createServer(
    {
      // Slow senders of headers and bodies are cut; a load balancer's idle connections are not.
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      keepAliveTimeout: 75_000,
      maxHeaderSize: 16 * 1024,
      noDelay: true,
    },
    onRequest,
  );
  http1Server.maxRequestsPerSocket = 0;
  http1Server.on("clientError", answerBadRequest);
  const http2Server = http2.createServer({ settings: { maxConcurrentStreams: 10_000 } }, (req, res) => {
    // Of the many members in which the two protocols' objects differ, the gateway uses none.
    onRequest(req as unknown as HttpRequest, res as unknown as HttpResponse);
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  http2Server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A client that is gone says no more than this. HTTP/2 knows no half-open connections.
    session.socket.once("end", () => session.destroy());
    // A peer that misbehaves or dies ends its own session only.
    session.on("error", () => session.destroy());
  });
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    // A connection that never says anything is cut.
    socket.setTimeout(10_000, () => socket.destroy());
    socket.once("data", (first) => {
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.pause();
      socket.unshift(first);
      const isHttp2 = first.toString("latin1", 0, http2Preface.length) === http2Preface;
      (isHttp2 ? http2Server : http1Server).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: 4_096 }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  // listen() has resolved with a host and a port, so the address is one of TCP.
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    get running() {
      return running;
    },
    stopListening() {
      server.close();
      http1Server.closeIdleConnections();
      for (const session of sessions) {
        session.close();
      }
    },
    async idle(signal) {
      if (running > 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
    async close() {
      const closed = new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve()));
      for (const session of sessions) {
        session.destroy();
      }
      http1Server.closeAllConnections();
      for (const socket of sockets) {
        socket.destroy();
      }
      await closed;
    },
  };
}

/** Answers what is not HTTP, and closes: what follows on such a connection cannot be told apart. */
function answerBadRequest(error: NodeJS.ErrnoException, socket: NodeJS.WritableStream & { destroyed?: boolean }): void {
  if (error.code === "ECONNRESET" || !socket.writable || socket.destroyed === true) {
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : "400 Bad Request";
  const body = JSON.stringify({
    error: { message: `${status.slice(4)}.`, type: "invalid_request_error", param: null, code: "bad_http" },
  });
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\n` +
      `x-should-retry: false\r\nx-request-id: req_${randomUUID().replaceAll("-", "")}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
