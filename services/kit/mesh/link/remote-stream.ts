import type { Buffer } from "node:buffer";
import type { ConnectError } from "@connectrpc/connect";
import type { AnyMessage } from "../message-of.ts";
import { watchCaller } from "../watch-caller.ts";
import type { CallSink, ClientCall } from "./client-call.ts";
import { connectionLost } from "./connection-lost.ts";
import { detached } from "./message-codec.ts";
import type { OpenLink, RemoteCallOptions } from "./remote-call.ts";
import type { RemoteMethod } from "./remote-method.ts";

type Result = IteratorResult<AnyMessage>;

/** How the calls of a peer are made. */
export interface RemoteStreamDeps {
  readonly link: OpenLink;
  /** Makes of a failure what the caller is told. */
  readonly mapError: (error: unknown, signal: AbortSignal | undefined) => unknown;
}

interface QueuedMessage {
  readonly content: Buffer;
  readonly frameBytes: number;
}

interface Pending {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

const done: Result = { done: true, value: undefined };

/**
 * One server stream of another process, which is called when this is made. Messages that nobody awaits yet are kept
 * serialized, no more of them than the call's credit covers. Leaving it reaches the other process at once.
 */
export class RemoteStream implements AsyncIterator<AnyMessage>, CallSink {
  readonly #method: RemoteMethod;
  readonly #options: RemoteCallOptions;
  readonly #deps: RemoteStreamDeps;
  readonly #queue: QueuedMessage[] = [];
  readonly #stopWatching: () => void;
  #call: ClientCall | undefined;
  #pending: Pending | undefined;
  #headDue: boolean;
  /** Set when nothing more will come; its error is told once, after the messages that came before it. */
  #ended: { readonly error: unknown } | undefined;

  constructor(deps: RemoteStreamDeps, method: RemoteMethod, input: unknown, options: RemoteCallOptions) {
    this.#method = method;
    this.#options = options;
    this.#deps = deps;
    this.#headDue = options.onHeader !== undefined;
    const { signal, timeoutMs, headers } = options;
    this.#stopWatching = watchCaller(signal, timeoutMs, (error) => this.#breakOff(error));
    if (this.#ended !== undefined) {
      return;
    }
    try {
      const request = method.input.encode(input);
      this.#call = deps.link().open(method.open(timeoutMs, headers), request, this);
    } catch (error) {
      this.#end(error);
    }
  }

  next(): Promise<Result> {
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#call?.taken(queued.frameBytes);
      return new Promise((resolve, reject) => this.#deliver(queued.content, { resolve, reject }));
    }
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      this.#ended = { error: undefined };
      return error === undefined ? Promise.resolve(done) : Promise.reject(this.#told(error));
    }
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
  }

  return(): Promise<Result> {
    this.#breakOff(undefined);
    return Promise.resolve(done);
  }

  onHead(header: Headers): void {
    this.#headDue = false;
    this.#options.onHeader?.(header);
  }

  onMessage(content: Buffer, frameBytes: number): void {
    this.#requireHead();
    const pending = this.#pending;
    if (pending === undefined) {
      this.#queue.push({ content: detached(content), frameBytes });
      return;
    }
    this.#pending = undefined;
    this.#call?.taken(frameBytes);
    this.#deliver(content, pending);
  }

  onEnd(error: ConnectError | undefined, trailer: Headers | undefined): void {
    if (error === undefined) {
      this.#requireHead();
      this.#options.onTrailer?.(trailer ?? new Headers());
    }
    this.#end(error);
  }

  onLost(cause: Error | undefined): void {
    this.#end(connectionLost(cause));
  }

  /** Headers are told before anything else, also when there are none. */
  #requireHead(): void {
    if (this.#headDue) {
      this.onHead(new Headers());
    }
  }
  #deliver(content: Buffer, { resolve, reject }: Pending): void {
    let value: AnyMessage;
    try {
      value = this.#method.output.decode(content);
    } catch (error) {
      this.#breakOff(undefined);
      reject(error);
      return;
    }
    resolve({ done: false, value });
  }

  /** Ends the stream from the caller's side: by an error, or without one when the caller has left. */
  #breakOff(error: ConnectError | undefined): void {
    this.#queue.length = 0;
    this.#call?.cancel();
    if (this.#ended === undefined) {
      this.#end(error);
    } else if (error === undefined) {
      this.#ended = { error: undefined };
    }
  }

  #end(error: unknown): void {
    const pending = this.#pending;
    this.#pending = undefined;
    this.#call = undefined;
    this.#stopWatching();
    this.#ended = { error: pending === undefined ? error : undefined };
    if (error === undefined) {
      pending?.resolve(done);
    } else {
      pending?.reject(this.#told(error));
    }
  }

  #told(error: unknown): unknown {
    return this.#deps.mapError(error, this.#options.signal);
  }
}
