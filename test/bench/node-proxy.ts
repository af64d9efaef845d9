import { Buffer } from "node:buffer";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { type Dispatcher, Pool } from "undici";

// `node node-proxy.ts UPSTREAM`: the least that a proxy in Node can do with `node:http` and undici's dispatch handlers.
// It reads the body, sends it on and passes the answer back; it looks at nothing. Prints its URL.

const [, , upstream = ""] = process.argv;
const pool = new Pool(upstream, { connections: 1_000, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
const headers = { "content-type": "application/json", authorization: "Bearer none" };

class Relay implements Dispatcher.DispatchHandler {
  readonly #res: http.ServerResponse;

  constructor(res: http.ServerResponse) {
    this.#res = res;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#res.on("close", () => {
      if (!this.#res.writableFinished) {
        controller.abort(new Error("the caller left"));
      }
    });
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    fields: Record<string, string | string[] | undefined>,
  ): void {
    const length = fields["content-length"];
    this.#res.writeHead(status, {
      "content-type": String(fields["content-type"]),
      ...(length === undefined ? {} : { "content-length": String(length) }),
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#res.write(chunk)) {
      controller.pause();
      this.#res.once("drain", () => controller.resume());
    }
  }

  onResponseEnd(): void {
    this.#res.end();
  }

  onResponseError(): void {
    this.#res.destroy();
  }
}

const server = http.createServer({ keepAliveTimeout: 75_000 }, (req, res) => {
  const chunks: Buffer[] = [];
  req.on("data", (chunk: Buffer) => chunks.push(chunk));
  req.on("end", () => {
    const [only] = chunks;
    const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
    pool.dispatch({ path: req.url ?? "/", method: "POST", headers, body }, new Relay(res));
  });
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  // A server that listens on a host and a port has an address of TCP.
  process.stdout.write(`url http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.once("SIGTERM", () => process.exit(0));
