import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { type RawPart, untilWritable } from "./raw-http.ts";

/** What is written for a request, byte by byte as it stands. */
export interface RawAnswer {
  readonly parts: readonly RawPart[];
  /** What becomes of the connection: it is kept (the default), ended, or reset. */
  readonly ending?: "keep" | "end" | "reset";
}

/** A request that arrived whole. */
export interface RawProviderRequest {
  readonly model: string;
  /** The head as it was sent, with the credential. */
  readonly head: string;
}

/** A provider that writes whatever it is told, HTTP or not. */
export interface RawProvider {
  /** http://127.0.0.1:port */
  readonly url: string;
  readonly requests: readonly RawProviderRequest[];
  /** Connections that are open now. */
  readonly openSockets: number;
  /** Connections that there ever were. */
  readonly acceptedSockets: number;
  /** Answers all requests for a model in this way. */
  answer(model: string, answer: RawAnswer): void;
  close(): Promise<void>;
}

/** Starts a provider on loopback. Requests for a model without an answer are never answered. */
export async function startRawProvider(): Promise<RawProvider> {
  const answers = new Map<string, RawAnswer>();
  const requests: RawProviderRequest[] = [];
  const sockets = new Set<Socket>();
  let acceptedSockets = 0;
  const server = createServer((socket) => {
    acceptedSockets += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // The gateway may leave at any time.
    socket.on("error", () => socket.destroy());
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let request = takeRequest(received); request !== undefined; request = takeRequest(received)) {
        received = received.subarray(request.length);
        const model = modelOf(request.body);
        requests.push({ model, head: request.head });
        const answer = answers.get(model);
        if (answer !== undefined) {
          play(socket, answer).catch(() => socket.destroy());
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    requests,
    get openSockets() {
      return sockets.size;
    },
    get acceptedSockets() {
      return acceptedSockets;
    },
    answer: (model, answer) => void answers.set(model, answer),
    async close() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await once(server, "close");
    },
  };
}

/** An answer with its length, as a provider that does everything right would send it. */
export function rawAnswer(
  body: string | Uint8Array,
  options: { readonly status?: string; readonly type?: string; readonly headers?: readonly string[] } = {},
): RawAnswer {
  const bytes = Buffer.from(body);
  return {
    parts: [
      rawHead([`content-length: ${bytes.length}`, ...(options.headers ?? [])], options.type, options.status),
      bytes,
    ],
  };
}

/** The head of an answer. */
export function rawHead(headers: readonly string[], type = "application/json", status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
}

/** One chunk of a body in chunks; the last one when it is empty. */
export function rawChunk(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

interface TakenRequest {
  readonly head: string;
  readonly body: string;
  readonly length: number;
}

function takeRequest(bytes: Buffer): TakenRequest | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) {
    return undefined;
  }
  const head = bytes.toString("latin1", 0, headEnd);
  const bodyLength = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  const length = headEnd + 4 + bodyLength;
  return bytes.length < length ? undefined : { head, body: bytes.toString("utf8", headEnd + 4, length), length };
}

function modelOf(body: string): string {
  return /"model": ?"([^"]*)"/.exec(body)?.[1] ?? "";
}

async function play(socket: Socket, answer: RawAnswer): Promise<void> {
  for (const part of answer.parts) {
    if (socket.destroyed) {
      return;
    }
    if (typeof part === "number") {
      await new Promise((resolve) => setTimeout(resolve, part));
    } else if (!socket.write(part)) {
      await untilWritable(socket);
    }
  }
  if (answer.ending === "end") {
    socket.end();
  } else if (answer.ending === "reset") {
    socket.resetAndDestroy();
  }
}
