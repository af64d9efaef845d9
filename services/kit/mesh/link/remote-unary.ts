import type { Buffer } from "node:buffer";
import { Code, ConnectError } from "@connectrpc/connect";
import type { AnyMessage } from "../message-of.ts";
import { watchCaller } from "../watch-caller.ts";
import type { CallSink, ClientCall } from "./client-call.ts";
import { connectionLost } from "./connection-lost.ts";
import { LinkProtocolError } from "./link-protocol.ts";
import type { OpenLink, RemoteCallOptions } from "./remote-call.ts";
import type { RemoteMethod } from "./remote-method.ts";

/** Makes a unary call. Rejects with a ConnectError. */
export function callUnary(
  link: OpenLink,
  method: RemoteMethod,
  input: unknown,
  options: RemoteCallOptions,
): Promise<AnyMessage> {
  return new Promise((resolve, reject) => {
    new RemoteUnary(method, options, resolve, reject).start(link, input);
  });
}

class RemoteUnary implements CallSink {
  readonly #method: RemoteMethod;
  readonly #options: RemoteCallOptions;
  readonly #resolve: (answer: AnyMessage) => void;
  readonly #reject: (error: unknown) => void;
  #call: ClientCall | undefined;
  #stopWatching: (() => void) | undefined;
  #header: Headers | undefined;
  #answer: AnyMessage | undefined;
  #over = false;

  constructor(
    method: RemoteMethod,
    options: RemoteCallOptions,
    resolve: (answer: AnyMessage) => void,
    reject: (error: unknown) => void,
  ) {
    this.#method = method;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** What it throws rejects the call. */
  start(link: OpenLink, input: unknown): void {
    const { signal, timeoutMs, headers } = this.#options;
    const request = this.#method.input.encode(input);
    this.#stopWatching = watchCaller(signal, timeoutMs, (error) => {
      this.#call?.cancel();
      this.#fail(error);
    });
    if (!this.#over) {
      this.#call = link().open(this.#method.open(timeoutMs, headers), request, this);
    }
  }

  onHead(header: Headers): void {
    this.#header = header;
  }

  onMessage(content: Buffer): void {
    if (this.#answer !== undefined) {
      throw new LinkProtocolError("a unary call has more than one answer");
    }
    try {
      this.#answer = this.#method.output.decode(content);
    } catch (error) {
      this.#call?.cancel();
      this.#fail(error);
    }
  }

  onEnd(error: ConnectError | undefined, trailer: Headers | undefined): void {
    if (error !== undefined) {
      this.#fail(error);
    } else if (this.#answer === undefined) {
      this.#fail(new ConnectError("the call ended without an answer", Code.Internal));
    } else {
      this.#finish();
      this.#options.onHeader?.(this.#header ?? new Headers());
      this.#options.onTrailer?.(trailer ?? new Headers());
      this.#resolve(this.#answer);
    }
  }

  onLost(cause: Error | undefined): void {
    this.#fail(connectionLost(cause));
  }

  #fail(error: unknown): void {
    if (!this.#over) {
      this.#finish();
      this.#reject(error);
    }
  }

  #finish(): void {
    this.#over = true;
    this.#stopWatching?.();
  }
}
