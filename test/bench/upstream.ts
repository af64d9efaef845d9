import type { Buffer } from "node:buffer";
import net from "node:net";
import { httpResponse, streamChunks, streamEnd, streamHead, wholeAnswer } from "./answers.ts";

// `node upstream.ts`: a provider in OpenAI's dialect that costs next to nothing, so that the core it shares with the load
// is left to the load. It understands only the requests of this folder's gateways. Prints its port.

const endOfHead = "\r\n\r\n";
let answered = 0;

/** One connection: requests one after another, answers from memory. */
class Connection {
  readonly #socket: net.Socket;
  #text = "";

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    // A gateway that leaves is no fault of the upstream.
    socket.on("error", () => socket.destroy());
  }

  #take(bytes: Buffer): void {
    this.#text += bytes.toString("latin1");
    for (;;) {
      const end = this.#text.indexOf(endOfHead);
      if (end === -1) {
        return;
      }
      const length = bodyLength(this.#text, end);
      const next = end + endOfHead.length + length;
      if (this.#text.length < next) {
        return;
      }
      const request = this.#text.slice(0, next);
      this.#text = this.#text.slice(next);
      this.#answer(request);
    }
  }

  #answer(request: string): void {
    if (request.startsWith("GET ")) {
      this.#socket.write(httpResponse(String(answered)));
      return;
    }
    answered += 1;
    if (!request.includes('"stream":true')) {
      this.#socket.write(wholeAnswer);
      return;
    }
    const gapMs = Number(/"user":"gap-(\d+)"/.exec(request)?.[1] ?? 0);
    this.#socket.write(streamHead);
    if (gapMs > 0) {
      this.#stream(0, gapMs);
      return;
    }
    this.#socket.cork();
    for (const chunk of streamChunks) {
      this.#socket.write(chunk);
    }
    this.#socket.write(streamEnd);
    this.#socket.uncork();
  }

  #stream(index: number, gapMs: number): void {
    const chunk = streamChunks[index];
    if (this.#socket.destroyed) {
      return;
    }
    if (chunk === undefined) {
      this.#socket.write(streamEnd);
      return;
    }
    this.#socket.write(chunk);
    setTimeout(() => this.#stream(index + 1, gapMs), gapMs);
  }
}

function bodyLength(text: string, endOfHeadAt: number): number {
  const head = text.slice(0, endOfHeadAt).toLowerCase();
  const at = head.indexOf("content-length:");
  return at === -1 ? 0 : Number.parseInt(head.slice(at + "content-length:".length), 10);
}

const server = net.createServer((socket) => void new Connection(socket));
server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
  // A server that listens on a host and a port has an address of TCP.
  process.stdout.write(`url http://127.0.0.1:${(server.address() as net.AddressInfo).port}\n`);
});
process.once("SIGTERM", () => process.exit(0));
