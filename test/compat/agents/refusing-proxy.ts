import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";

/** A proxy that lets nothing through and remembers where to it was asked. */
export interface RefusingProxy {
  /** The variables that make programs use it for everything but loopback. */
  readonly env: Readonly<Record<string, string>>;
  /** The hosts that were asked for, each once. */
  readonly hosts: ReadonlySet<string>;
  close(): void;
}

/** Starts the proxy on loopback: what a program would send elsewhere ends here. */
export async function startRefusingProxy(): Promise<RefusingProxy> {
  const hosts = new Set<string>();
  const note = (target: string): void => {
    if (hosts.size < 100) {
      hosts.add(target);
    }
  };
  const server = http.createServer((req, res) => {
    note(URL.parse(req.url ?? "")?.host ?? req.headers.host ?? "");
    res.writeHead(502).end();
  });
  server.on("connect", (req, socket) => {
    note(req.url ?? "");
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on a host and a port has an address of TCP.
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const loopback = "127.0.0.1,localhost";
  return {
    env: {
      HTTP_PROXY: url,
      HTTPS_PROXY: url,
      ALL_PROXY: url,
      http_proxy: url,
      https_proxy: url,
      all_proxy: url,
      NO_PROXY: loopback,
      no_proxy: loopback,
    },
    hosts,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
