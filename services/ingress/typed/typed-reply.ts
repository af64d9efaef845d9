import type { ConnectError } from "@connectrpc/connect";
import type { ReplyHead, ReplySink } from "../pipeline/gateway-call.ts";
import { replyHeaders } from "../http/reply-headers.ts";

/** From this many bytes that the caller has not taken yet on, the provider is asked to wait. */
const highWaterBytes = 256 * 1024;

/** Hands the bytes of an answer to a typed call, which decodes them. */
export class TypedReply implements ReplySink {
  readonly #responseHeader: Headers;
  readonly #requestId: string;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #over = false;
  #error: ConnectError | undefined;
  #wake: (() => void) | undefined;
  #resume: (() => void) | undefined;

  constructor(responseHeader: Headers, requestId: string) {
    this.#responseHeader = responseHeader;
    this.#requestId = requestId;
    responseHeader.set("x-request-id", requestId);
  }

  head(head: ReplyHead): void {
    const headers = replyHeaders(head, this.#requestId);
    for (let index = 0; index + 1 < headers.length; index += 2) {
      const name = headers[index] ?? "";
      // The content type is the protocol's own.
      if (name !== "content-type") {
        this.#responseHeader.set(name, headers[index + 1] ?? "");
      }
    }
  }

  body(bytes: Uint8Array): boolean {
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
    this.#wake?.();
    return this.#bytes < highWaterBytes;
  }

  onDrain(resume: () => void): void {
    this.#resume = resume;
  }

  end(bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) {
      this.#chunks.push(bytes);
    }
    this.#over = true;
    this.#wake?.();
  }

  fail(error: ConnectError): void {
    this.#over = true;
    this.#error = error;
    this.#wake?.();
  }

  /** The caller has left: whoever waits for it to take more goes on. */
  leave(): void {
    this.#over = true;
    this.#wake?.();
    this.#release();
  }

  /** The next bytes; undefined at the end. Rejects with what the answer failed with, after all its bytes. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#bytes -= chunk.length;
        if (this.#bytes < highWaterBytes) {
          this.#release();
        }
        return chunk;
      }
      if (this.#error !== undefined) {
        throw this.#error;
      }
      if (this.#over) {
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #release(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }
}
