import { Buffer } from "node:buffer";
import type { ConnectError } from "@connectrpc/connect";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { renderError, renderStreamError } from "#kit/errors/render-error.ts";
import type { ReplyHead, ReplySink } from "../pipeline/gateway-call.ts";
import type { HttpResponse } from "#kit/http/create-http-server.ts";
import { replyHeaders } from "./reply-headers.ts";

/** Sends an answer as an HTTP response in the caller's dialect. */
export class HttpReply implements ReplySink {
  readonly #res: HttpResponse;
  readonly #requestId: string;
  readonly #dialect: Dialect;
  #head: ReplyHead | undefined;
  #begun = false;

  constructor(res: HttpResponse, requestId: string, dialect: Dialect) {
    this.#res = res;
    this.#requestId = requestId;
    this.#dialect = dialect;
  }

  head(head: ReplyHead): void {
    this.#head = head;
  }

  body(bytes: Uint8Array): boolean {
    this.#begin(undefined);
    return this.#res.write(bytes);
  }

  onDrain(resume: () => void): void {
    const res = this.#res;
    const done = (): void => {
      res.removeListener("drain", done);
      res.removeListener("close", done);
      resume();
    };
    res.on("drain", done);
    res.on("close", done);
  }

  end(bytes: Uint8Array | undefined): void {
    this.#begin(bytes?.length ?? 0);
    this.#res.end(bytes);
  }

  fail(error: ConnectError): void {
    if (this.#res.headersSent) {
      if (this.#head?.contentType.startsWith("text/event-stream") === true) {
        this.#res.end(renderStreamError(this.#dialect, error, this.#requestId));
      } else {
        // Half of a document must not look whole: the connection ends without the end of the body.
        this.#res.destroy();
      }
      return;
    }
    sendError(this.#res, this.#dialect, error, this.#requestId);
  }

  /** `length` is known when the whole body is at hand: it goes in one piece then. */
  #begin(length: number | undefined): void {
    if (this.#begun || this.#head === undefined) {
      return;
    }
    this.#begun = true;
    const headers = replyHeaders(this.#head, this.#requestId);
    if (this.#dialect === Dialect.ANTHROPIC_MESSAGES) {
      headers.push("request-id", this.#requestId);
    }
    if (this.#head.contentType.startsWith("text/event-stream")) {
      headers.push("cache-control", "no-cache, no-transform", "x-accel-buffering", "no");
    } else if (length !== undefined) {
      headers.push("content-length", String(length));
    }
    writeHead(this.#res, 200, headers);
  }
}

/** Answers with an error in a dialect. */
export function sendError(res: HttpResponse, dialect: Dialect, error: ConnectError, requestId: string): void {
  const rendered = renderError(dialect, error, requestId);
  const body = Buffer.from(rendered.body);
  const headers = [
    "content-type",
    "application/json",
    "x-request-id",
    requestId,
    "content-length",
    String(body.length),
  ];
  if (dialect === Dialect.ANTHROPIC_MESSAGES) {
    headers.push("request-id", requestId);
  }
  for (const [name, value] of Object.entries(rendered.headers)) {
    headers.push(name, value);
  }
  writeHead(res, rendered.status, headers);
  res.end(body);
}

/** HTTP/2's responses take an object; HTTP/1.1's are quicker with a flat list. */
function writeHead(res: HttpResponse, status: number, headers: readonly string[]): void {
  if (res.req?.httpVersionMajor !== 2) {
    res.writeHead(status, headers as string[]);
    return;
  }
  const fields: Record<string, string> = {};
  for (let index = 0; index + 1 < headers.length; index += 2) {
    fields[headers[index] ?? ""] = headers[index + 1] ?? "";
  }
  res.writeHead(status, fields);
}
