import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** An HTTP answer, read as bytes by a reader that forgives nothing of what the tests look at. */
export interface RawReply {
  readonly status: number;
  /** Values by name in lower case; fields that came more than once are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Bytes to send, or a number of milliseconds to pause for. */
export type RawPart = string | Uint8Array | number;

/** How bytes are sent. */
export interface RawSendOptions {
  /** Another address of the loopback network, so that the sender counts as somebody else. */
  readonly localAddress?: string;
  /** How many answers are waited for; 1 unless given. */
  readonly replies?: number;
  /** Closes the sending side after the last byte. */
  readonly halfClose?: boolean;
}

const timeoutMs = 20_000;

/**
 * Sends bytes on a connection of their own. Resolves with the answers: those that were wanted, or as many as came before
 * the peer closed. Rejects after 20 s without an end.
 */
export async function sendRaw(
  url: string,
  parts: readonly RawPart[],
  options: RawSendOptions = {},
): Promise<readonly RawReply[]> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname,
    port: Number(port),
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
  });
  const wanted = options.replies ?? 1;
  const replies: RawReply[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`only ${replies.length} of ${wanted} answers came: ${received.subarray(0, 300).toString()}`));
      }, timeoutMs);
      let received: Buffer = Buffer.alloc(0);
      const take = (ended: boolean): void => {
        for (let parsed = parseReply(received, ended); parsed !== undefined; parsed = parseReply(received, ended)) {
          received = received.subarray(parsed.length);
          // What comes before the answer proper asks for the body, or says nothing.
          if (parsed.reply.status >= 200) {
            replies.push(parsed.reply);
          }
        }
        if (ended || replies.length >= wanted) {
          clearTimeout(timer);
          resolve();
        }
      };
      socket.on("data", (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        take(false);
      });
      socket.on("end", () => take(true));
      socket.on("close", () => take(true));
      // A reset after the answer is how a server may refuse the rest of a body.
      socket.on("error", () => take(true));
      socket.on("connect", () => {
        send(socket, parts, options.halfClose === true).catch(reject);
      });
    });
  } finally {
    socket.destroy();
  }
  return replies;
}

async function send(socket: Socket, parts: readonly RawPart[], halfClose: boolean): Promise<void> {
  for (const part of parts) {
    if (socket.destroyed) {
      return;
    }
    if (typeof part === "number") {
      await new Promise((resolve) => setTimeout(resolve, part));
    } else if (!socket.write(part)) {
      await untilWritable(socket);
    }
  }
  if (halfClose) {
    socket.end();
  }
}

/** Resolves when a socket takes more, or is closed. */
export function untilWritable(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}

interface ParsedReply {
  readonly reply: RawReply;
  /** How many bytes it took. */
  readonly length: number;
}

/** Reads one answer from the front of the bytes; undefined when it is not all there. */
function parseReply(bytes: Buffer, ended: boolean): ParsedReply | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) {
    return undefined;
  }
  const [statusLine = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(`${statusLine} `)?.[1]);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const known = headers.get(name);
    headers.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  const start = headEnd + 4;
  if (status < 200 || status === 204) {
    return { reply: { status, headers, body: "" }, length: start };
  }
  if (headers.get("transfer-encoding") === "chunked") {
    const chunked = parseChunks(bytes, start);
    return chunked === undefined ? undefined : { reply: { status, headers, body: chunked.body }, length: chunked.end };
  }
  const announced = headers.get("content-length");
  const length = announced === undefined ? (ended ? bytes.length - start : undefined) : Number(announced);
  if (length === undefined || bytes.length < start + length) {
    return undefined;
  }
  return { reply: { status, headers, body: bytes.toString("utf8", start, start + length) }, length: start + length };
}

function parseChunks(bytes: Buffer, from: number): { readonly body: string; readonly end: number } | undefined {
  const pieces: Buffer[] = [];
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd === -1) {
      return undefined;
    }
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (bytes.length < end) {
      return undefined;
    }
    if (size === 0) {
      return { body: Buffer.concat(pieces).toString("utf8"), end };
    }
    pieces.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = end;
  }
}
