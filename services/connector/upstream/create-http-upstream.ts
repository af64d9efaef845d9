import { type Dispatcher, Pool } from "undici";
import type { Upstream, UpstreamCall, UpstreamHandler, UpstreamHeaders } from "./upstream.ts";

/** How to reach a provider. */
export interface HttpUpstreamOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  /** The most connections at once; further requests wait for one. */
  readonly connections: number;
  /** How long a connection may take, in milliseconds. */
  readonly connectTimeoutMs: number;
}

/**
 * Reaches a provider over HTTP/1.1 with connections that are kept. One request at a time on each: model calls are long,
 * and a pipelined one would wait behind another. Timeouts after the connection are the attempt's, not the pool's.
 */
export function createHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const pool = new Pool(options.origin, {
    connections: options.connections,
    pipelining: 1,
    // Shorter than any provider keeps an idle connection, so that it is rarely the provider who closes first.
    keepAliveTimeout: 4_000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: options.connectTimeoutMs },
  });
  return {
    send(request, handler) {
      const exchange = new HttpExchange(handler);
      pool.dispatch(
        {
          path: request.path,
          method: request.method ?? "POST",
          headers: request.headers as string[],
          // A GET with a body, however short, is refused by some servers.
          body: request.body.length === 0 && request.method === "GET" ? null : request.body,
        },
        exchange,
      );
      return exchange;
    },
    close: () => pool.destroy(),
  };
}

class HttpExchange implements Dispatcher.DispatchHandler, UpstreamCall {
  readonly #handler: UpstreamHandler;
  #controller: Dispatcher.DispatchController | undefined;
  #over = false;

  constructor(handler: UpstreamHandler) {
    this.#handler = handler;
  }

  abort(): void {
    if (!this.#over) {
      this.#over = true;
      this.#controller?.abort(new Error("the attempt was left"));
    }
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) {
      controller.abort(new Error("the attempt was left"));
      return;
    }
    this.#handler.onSent();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: UpstreamHeaders): void {
    if (!this.#over && status >= 200) {
      this.#handler.onHead(status, headers);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over) {
      this.#handler.onData(chunk);
    }
  }

  onResponseEnd(): void {
    if (!this.#over) {
      this.#over = true;
      this.#handler.onEnd();
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#over) {
      this.#over = true;
      this.#handler.onError(error, this.#controller !== undefined);
    }
  }
}
