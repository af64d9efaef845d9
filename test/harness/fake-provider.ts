import { Buffer } from "node:buffer";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { goodAnswer } from "./provider-answers.ts";

/** One request that the provider received, from its arrival to the end of its answer. Times are monotonic milliseconds. */
export interface ProviderRequest {
  /** Its place among all requests, from 1. */
  readonly id: number;
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON; an empty object when it is none. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The model that it asks for, from the body, JSON or a form, or from the path; empty when it names none. */
  readonly model: string;
  readonly stream: boolean;
  /** When the whole body was there. */
  readonly accepted: number;
  /** Bytes of the answer's body that were handed to the socket. */
  readonly bytesSent: number;
  /** Who ended the exchange: `us` when the answer ended as its script says, `peer` when the gateway left before. */
  readonly closedBy: "us" | "peer" | undefined;
  readonly closedAt: number | undefined;
}

/** A piece of a body, or a number of milliseconds to pause for, or a promise to wait for. */
export type AnswerPart = string | Uint8Array | number | Promise<unknown>;

/** How one request is answered. */
export interface ScriptedAnswer {
  /** 200 unless given. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body in pieces, each written on its own, with pauses. The head is sent with the first piece. */
  readonly parts?: readonly AnswerPart[];
  /**
   * What comes after the parts: `complete` ends the body properly (the default), `stall` keeps the connection and says
   * nothing more, `cut` closes it without the end of the body, `reset` resets it.
   */
  readonly ending?: "complete" | "stall" | "cut" | "reset";
}

/** Decides how a request is answered. */
export type ProviderScript = ScriptedAnswer | ((request: ProviderRequest) => ScriptedAnswer | Promise<ScriptedAnswer>);

/** A provider on loopback that does what it is told and remembers what it was asked. */
export interface FakeProvider {
  /** http://127.0.0.1:port, without a path. */
  readonly url: string;
  readonly requests: readonly ProviderRequest[];
  /** Connections that are open now, idle ones included. */
  readonly openSockets: number;
  /** Answers requests for a model by these scripts, one after another; the last one answers all that follow. */
  script(model: string, ...scripts: readonly ProviderScript[]): void;
  /** Requests of one model, in the order of their arrival. */
  requestsOf(model: string): readonly ProviderRequest[];
  /** The n-th request, from 1, as soon as it is there. */
  waitForRequest(n: number): Promise<ProviderRequest>;
  /** The n-th request of a model, from 1, as soon as it is there. */
  waitForRequestOf(model: string, n: number): Promise<ProviderRequest>;
  /** Resolves when the exchange of a request has ended. */
  waitForClose(request: ProviderRequest): Promise<ProviderRequest>;
  /** Cuts all connections and stops listening. */
  close(): Promise<void>;
}

/** Settings of a fake provider. */
export interface FakeProviderOptions {
  /** Answers models without a script of their own: a good answer in the request's dialect unless given. */
  readonly otherwise?: ProviderScript;
}

/** Starts a provider that speaks the paths of OpenAI, Anthropic and Gemini. */
export async function startFakeProvider(options: FakeProviderOptions = {}): Promise<FakeProvider> {
  const requests: Exchange[] = [];
  const scripts = new Map<string, ProviderScript[]>();
  const sockets = new Set<Socket>();
  let waiters: { readonly find: () => ProviderRequest | undefined; readonly resolve: (r: ProviderRequest) => void }[] =
    [];

  function changed(): void {
    waiters = waiters.filter(({ find, resolve }) => {
      const found = find();
      if (found !== undefined) {
        resolve(found);
      }
      return found === undefined;
    });
  }
  function waitFor(find: () => ProviderRequest | undefined): Promise<ProviderRequest> {
    const found = find();
    return found === undefined ? new Promise((resolve) => waiters.push({ find, resolve })) : Promise.resolve(found);
  }
  function nextScript(model: string): ProviderScript {
    const list = scripts.get(model);
    const next = list !== undefined && list.length > 1 ? list.shift() : list?.[0];
    return next ?? options.otherwise ?? goodAnswer;
  }
  const requestsOf = (model: string): Exchange[] => requests.filter((request) => request.model === model);

  const server = http.createServer((req, res) => {
    readRequest(req, requests.length + 1).then(
      async (exchange) => {
        exchange.id = requests.length + 1;
        requests.push(exchange);
        res.on("close", () => {
          exchange.closedBy ??= res.writableFinished ? "us" : "peer";
          exchange.closedAt ??= performance.now();
          changed();
        });
        changed();
        const script = nextScript(exchange.model);
        await play(typeof script === "function" ? await script(exchange) : script, exchange, res);
      },
      // The peer left while it sent its request: nobody is there to be answered.
      () => res.destroy(),
    );
  });
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on a host and a port has an address of TCP.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get openSockets() {
      return sockets.size;
    },
    script: (model, ...list) => void scripts.set(model, [...list]),
    requestsOf,
    waitForRequest: (n) => waitFor(() => requests[n - 1]),
    waitForRequestOf: (model, n) => waitFor(() => requestsOf(model)[n - 1]),
    waitForClose: (request) => waitFor(() => (request.closedAt === undefined ? undefined : request)),
    async close() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await once(server, "close");
    },
  };
}

type Exchange = { -readonly [Name in keyof ProviderRequest]: ProviderRequest[Name] };

async function readRequest(req: http.IncomingMessage, id: number): Promise<Exchange> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) {
    // A request without an encoding set gives buffers.
    chunks.push(chunk as Buffer);
  }
  const body = Buffer.concat(chunks);
  const path = req.url ?? "";
  const json = parseObject(body);
  const named = json["model"] ?? /name="model"\r\n\r\n([^\r]*)/.exec(body.toString("latin1"))?.[1];
  const inPath = /\/models?\/([^:/?]+)[:/]/.exec(path)?.[1];
  return {
    id,
    method: req.method ?? "",
    path,
    headers: req.headers,
    body,
    json,
    model: inPath === undefined ? (typeof named === "string" ? named : "") : decodeURIComponent(inPath),
    stream: json["stream"] === true || /:stream(?:GenerateContent|RawPredict)|-stream$/.test(path),
    accepted: performance.now(),
    bytesSent: 0,
    closedBy: undefined,
    closedAt: undefined,
  };
}

function parseObject(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    // An object from JSON has string keys and unknown values.
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    // A body that is no JSON has no members to show.
    return {};
  }
}

async function play(answer: ScriptedAnswer, exchange: Exchange, res: http.ServerResponse): Promise<void> {
  const begin = (): void => {
    if (!res.headersSent) {
      res.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
    }
  };
  const left = new Promise<void>((resolve) => res.once("close", resolve));
  for (const part of answer.parts ?? []) {
    if (typeof part === "number") {
      await pause(part);
    } else if (part instanceof Promise) {
      await part;
    } else if (!res.destroyed) {
      begin();
      exchange.bytesSent += Buffer.byteLength(part);
      // Until it is with the socket: what is cut or reset next must not take with it what was written before.
      const written = new Promise<void>((resolve) => res.write(part, () => resolve()));
      await Promise.race([written, left]);
    }
  }
  switch (answer.ending ?? "complete") {
    case "complete":
      if (!res.destroyed) {
        begin();
        res.end();
      }
      break;
    case "stall":
      break;
    case "cut":
      exchange.closedBy ??= "us";
      res.socket?.end();
      break;
    case "reset":
      exchange.closedBy ??= "us";
      res.socket?.resetAndDestroy();
      break;
  }
}
