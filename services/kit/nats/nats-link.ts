import { setTimeout as delay } from "node:timers/promises";
import { connect, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";

/** What a link is doing. */
export type NatsLinkState =
  | { readonly kind: "connected"; readonly server: string }
  | { readonly kind: "disconnected"; readonly error: unknown };

/** Settings of a link. */
export interface NatsLinkOptions {
  /** nats://user:password@host:port, several with commas between; tls:// for TLS. */
  readonly url: string;
  /** Shown by the server. */
  readonly name: string;
  readonly onState?: ((state: NatsLinkState) => void) | undefined;
  /** Called with each new connection, also after the library gave one up. Not called when it reconnects by itself. */
  readonly onConnection?: (connection: NatsConnection) => void;
}

/** A connection that is made in the background and never given up. */
export interface NatsLink {
  /** The connection when it is up; undefined when it is not. */
  readonly up: NatsConnection | undefined;
  /** Waits for the connection; rejects after `timeoutMs`, and when the link is closed. */
  ready(timeoutMs: number): Promise<NatsConnection>;
  /** Sends what is buffered and disconnects. */
  close(): Promise<void>;
}

const retryMs = 250;

/** Begins to connect. Never fails: while the server is away, `up` is undefined. */
export function openNatsLink(options: NatsLinkOptions): NatsLink {
  return new BackgroundLink(options);
}

class BackgroundLink implements NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #connection: NatsConnection | undefined;
  #connected = false;
  #arrival = Promise.withResolvers<void>();

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get up(): NatsConnection | undefined {
    return this.#connected && !this.#stop.signal.aborted ? this.#connection : undefined;
  }

  async ready(timeoutMs: number): Promise<NatsConnection> {
    const deadline = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]);
    while (this.up === undefined && !deadline.aborted) {
      await Promise.race([this.#arrival.promise, aborted(deadline)]);
    }
    const connection = this.up;
    if (connection === undefined) {
      throw new Error(this.#stop.signal.aborted ? "the NATS connection is closed" : "NATS is not connected");
    }
    return connection;
  }

  async close(): Promise<void> {
    if (!this.#stop.signal.aborted) {
      const connection = this.up;
      this.#stop.abort();
      if (connection === undefined) {
        await this.#connection?.close();
      } else {
        // A server that hangs would hold the drain for good.
        await Promise.race([connection.drain(), delay(2_000, undefined, { ref: false })]);
        await connection.close();
      }
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const connection = await connect({
          ...serverOptions(this.#options.url),
          name: this.#options.name,
          timeout: 2_000,
          maxReconnectAttempts: -1,
          reconnectTimeWait: retryMs,
          reconnectJitter: retryMs,
          reconnectJitterTLS: retryMs,
          // A server that accepts and never answers is noticed after two of these.
          pingInterval: 5_000,
          maxPingOut: 2,
        });
        this.#connection = connection;
        if (this.#stop.signal.aborted) {
          await connection.close();
          return;
        }
        this.#arrived(connection);
        this.#options.onConnection?.(connection);
        await this.#follow(connection);
      } catch (error) {
        this.#gone(error);
        await delay(retryMs * (1 + Math.random()), undefined, { ref: false });
      }
    }
  }

  /** Until the library gives the connection up, or we close it. */
  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      switch (status.type) {
        case "disconnect":
        case "staleConnection":
          this.#gone(new Error("the connection to NATS was lost"));
          break;
        case "reconnect":
          this.#arrived(connection);
          break;
        default:
      }
    }
    const error = await connection.closed();
    if (!this.#stop.signal.aborted) {
      throw error ?? new Error("the connection to NATS was closed");
    }
  }

  #arrived(connection: NatsConnection): void {
    this.#connected = true;
    this.#arrival.resolve();
    this.#options.onState?.({ kind: "connected", server: connection.getServer() });
  }

  #gone(error: unknown): void {
    if (this.#connected) {
      this.#connected = false;
      this.#arrival = Promise.withResolvers<void>();
    }
    if (!this.#stop.signal.aborted) {
      this.#options.onState?.({ kind: "disconnected", error });
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The library takes neither credentials nor a scheme in an address. */
function serverOptions(url: string): ConnectionOptions {
  const urls = url.split(",").map((part) => new URL(part.includes("://") ? part.trim() : `nats://${part.trim()}`));
  const [first] = urls;
  const user = decodeURIComponent(first?.username ?? "");
  const password = decodeURIComponent(first?.password ?? "");
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port === "" ? "4222" : port}`),
    ...(password === "" ? (user === "" ? {} : { token: user }) : { user, pass: password }),
    ...(first?.protocol === "tls:" ? { tls: {} } : {}),
  };
}
