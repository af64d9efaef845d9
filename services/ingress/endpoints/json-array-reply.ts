import { Buffer } from "node:buffer";
import type { ConnectError } from "@connectrpc/connect";
import { createSseDecoder, type SseEvent } from "#codec/sse/sse-decoder.ts";
import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { renderError } from "#kit/errors/render-error.ts";
import type { ReplyHead, ReplySink } from "../pipeline/gateway-call.ts";

/**
 * Writes the events of a stream as the elements of one JSON array, each as soon as it is there: what Google answers
 * where nobody asked for events. An error that comes after the beginning is the last element.
 */
export class JsonArrayReply implements ReplySink {
  readonly #reply: ReplySink;
  readonly #dialect: Dialect;
  readonly #requestId: string;
  readonly #sse = createSseDecoder();
  #begun = false;

  constructor(reply: ReplySink, dialect: Dialect, requestId: string) {
    this.#reply = reply;
    this.#dialect = dialect;
    this.#requestId = requestId;
  }

  head(head: ReplyHead): void {
    this.#reply.head({ ...head, contentType: "application/json; charset=utf-8" });
  }

  body(bytes: Uint8Array): boolean {
    const text = this.#write(this.#sse.push(bytes));
    return text === "" || this.#reply.body(Buffer.from(text));
  }

  onDrain(resume: () => void): void {
    this.#reply.onDrain(resume);
  }

  end(bytes: Uint8Array | undefined): void {
    const last = bytes === undefined ? [] : this.#sse.push(bytes);
    const text = this.#write([...last, ...this.#sse.end()]);
    this.#reply.end(Buffer.from(`${text}${this.#begun ? "" : "["}]`));
  }

  fail(error: ConnectError): void {
    if (!this.#begun) {
      this.#reply.fail(error);
      return;
    }
    const { body } = renderError(this.#dialect, error, this.#requestId);
    this.#reply.end(Buffer.from(`,\n${body}]`));
  }

  #write(events: readonly SseEvent[]): string {
    let text = "";
    for (const { data } of events) {
      text += (this.#begun ? ",\n" : "[") + data;
      this.#begun = true;
    }
    return text;
  }
}
