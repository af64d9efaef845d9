import type { Buffer } from "node:buffer";
import net from "node:net";

/** Told of one exchange. Exactly one of `onEnd` and `onBroken` ends it. */
export interface ExchangeHandler {
  /** The first bytes of the answer's body are there. */
  onFirstBody(): void;
  /** The answer is whole; `events` are the server-sent events in its body. */
  onEnd(status: number, events: number): void;
  /** The connection ended before the answer did. */
  onBroken(): void;
}

const headEnd = "\r\n\r\n";
const newline = 0x0a;

/**
 * One kept connection that sends ready-made requests and understands just enough HTTP/1.1 of their answers. Several
 * times cheaper than an HTTP client, so that the load does not measure itself.
 */
export class RawConnection {
  readonly #socket: net.Socket;
  #handler: ExchangeHandler | undefined;
  #head = "";
  #status = 0;
  /** Bytes of the body, or of its current chunk, that are still to come; -1 while a chunk's size line is read. */
  #left = 0;
  #chunked = false;
  #sizeLine = "";
  #lastChunk = false;
  #bodySeen = false;
  #events = 0;
  #lastByte = 0;
  #phase: "idle" | "head" | "body" = "idle";

  constructor(port: number) {
    this.#socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    this.#socket.on("data", (bytes: Buffer) => this.#take(bytes));
    // What it means for the exchange is said by "close", which follows.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      const handler = this.#handler;
      this.#handler = undefined;
      handler?.onBroken();
    });
  }

  /** Whether it can still be used. */
  get open(): boolean {
    return !this.#socket.destroyed;
  }

  /** Sends one request. Only called when the exchange before has ended. */
  send(request: Buffer, handler: ExchangeHandler): void {
    this.#handler = handler;
    this.#head = "";
    this.#events = 0;
    this.#lastByte = 0;
    this.#phase = "head";
    this.#socket.write(request);
  }

  close(): void {
    this.#handler = undefined;
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    let at = 0;
    if (this.#phase === "head") {
      const before = this.#head.length;
      this.#head += bytes.toString("latin1");
      const end = this.#head.indexOf(headEnd);
      if (end === -1) {
        return;
      }
      at = end + headEnd.length - before;
      this.#beginBody(this.#head.slice(0, end).toLowerCase());
    }
    if (this.#phase === "body" && !this.#bodySeen && at < bytes.length) {
      this.#bodySeen = true;
      this.#handler?.onFirstBody();
    }
    while (this.#phase === "body" && at < bytes.length) {
      at = this.#left === -1 ? this.#takeSizeLine(bytes, at) : this.#takeBody(bytes, at);
    }
    if (this.#phase === "body" && !this.#chunked && this.#left === 0) {
      this.#end();
    }
  }

  #beginBody(head: string): void {
    this.#status = Number(head.slice(9, 12));
    this.#chunked = head.includes("\r\ntransfer-encoding: chunked");
    this.#left = this.#chunked ? -1 : Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
    this.#sizeLine = "";
    this.#lastChunk = false;
    this.#bodySeen = false;
    this.#phase = "body";
  }

  #takeSizeLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(newline, from);
    if (end === -1) {
      this.#sizeLine += bytes.toString("latin1", from);
      return bytes.length;
    }
    const line = (this.#sizeLine + bytes.toString("latin1", from, end)).trim();
    this.#sizeLine = "";
    if (line === "") {
      // The line break behind a chunk; behind the last chunk, which is empty, it ends the body.
      if (this.#lastChunk) {
        this.#end();
      }
      return end + 1;
    }
    const size = Number.parseInt(line, 16);
    this.#lastChunk = size === 0;
    this.#left = size === 0 ? -1 : size;
    return end + 1;
  }

  #takeBody(bytes: Buffer, from: number): number {
    const end = Math.min(bytes.length, from + this.#left);
    this.#countEvents(bytes, from, end);
    this.#left -= end - from;
    if (this.#chunked && this.#left === 0) {
      this.#left = -1;
    }
    return end;
  }

  /** An event ends with an empty line, which may come in two pieces. */
  #countEvents(bytes: Buffer, from: number, end: number): void {
    for (let at = bytes.indexOf(newline, from); at !== -1 && at < end; at = bytes.indexOf(newline, at + 1)) {
      if ((at === from ? this.#lastByte : bytes[at - 1]) === newline) {
        this.#events += 1;
      }
    }
    this.#lastByte = bytes[end - 1] ?? 0;
  }

  #end(): void {
    this.#phase = "idle";
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onEnd(this.#status, this.#events);
  }
}
