import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { CallOptions, Client, ConnectError, ServiceImpl } from "@connectrpc/connect";
import { asConnectError } from "./as-connect-error.ts";
import { LocalContext } from "./local-context.ts";
import { type AnyMessage, messageOf } from "./message-of.ts";
import { isPrompt } from "./prompt-stream.ts";

type UnaryHandler = (request: AnyMessage, context: LocalContext) => unknown;
type StreamHandler = (request: AnyMessage, context: LocalContext) => AsyncIterable<unknown>;

/**
 * Makes a client that calls an implementation in the same process: nothing is serialised, messages are handed over as
 * they are, so neither side may change one that it has given away.
 */
export function createLocalClient<S extends DescService>(service: S, implementation: ServiceImpl<S>): Client<S> {
  const client: Record<string, unknown> = {};
  for (const method of service.methods) {
    // The types of S say that the implementation has a handler of the right shape under each method's local name.
    const handler = (implementation as Record<string, unknown>)[method.localName];
    if (typeof handler !== "function") {
      throw new TypeError(`${service.typeName} is served without ${method.name}`);
    }
    switch (method.methodKind) {
      case "unary":
        client[method.localName] = unaryCall(service, method, handler.bind(implementation) as UnaryHandler);
        break;
      case "server_streaming":
        client[method.localName] = streamCall(service, method, handler.bind(implementation) as StreamHandler);
        break;
      default:
        throw new TypeError(`${service.typeName}.${method.name} streams requests, which the mesh does not carry`);
    }
  }
  // Each method was added above with the shape that Client<S> asks for.
  return client as Client<S>;
}

function unaryCall(service: DescService, method: DescMethod, handler: UnaryHandler) {
  return (input: unknown, options?: CallOptions): Promise<AnyMessage> => {
    const context = new LocalContext(service, method, options);
    if (options !== undefined) {
      return limitedCall(method, handler, input, context);
    }
    // The usual call has no deadline, signal or headers: nothing to watch, and nothing to await when the handler answers
    // at once.
    try {
      const output = handler(messageOf(method.input, input), context);
      return output instanceof Promise
        ? output.then((value) => messageOf(method.output, value), rejectAsConnectError)
        : Promise.resolve(messageOf(method.output, output));
    } catch (error) {
      return Promise.reject(asConnectError(error));
    }
  };
}

async function limitedCall(
  method: DescMethod,
  handler: UnaryHandler,
  input: unknown,
  context: LocalContext,
): Promise<AnyMessage> {
  let stopWatching: (() => void) | undefined;
  const ended = new Promise<never>((_, reject) => {
    stopWatching = context.watch((error) => {
      context.abort(error);
      reject(error);
    });
  });
  try {
    const output = await Promise.race([handler(messageOf(method.input, input), context), ended]);
    context.deliverHeaders();
    context.deliverTrailers();
    return messageOf(method.output, output);
  } catch (error) {
    throw asConnectError(error);
  } finally {
    stopWatching?.();
    context.end();
  }
}

function rejectAsConnectError(error: unknown): never {
  throw asConnectError(error);
}

function streamCall(service: DescService, method: DescMethod, handler: StreamHandler) {
  return (input: unknown, options?: CallOptions): AsyncIterable<AnyMessage> => ({
    [Symbol.asyncIterator]: () => {
      const context = new LocalContext(service, method, options);
      try {
        const source = handler(messageOf(method.input, input), context)[Symbol.asyncIterator]();
        if (options === undefined && isPrompt(source)) {
          // Its messages are complete, as it says itself.
          return source as AsyncIterator<AnyMessage>;
        }
        return new LocalStream(source, context, method, options !== undefined);
      } catch (error) {
        return failedStream(asConnectError(error));
      }
    },
  });
}

/** One server stream inside the process. */
class LocalStream implements AsyncIterator<AnyMessage> {
  readonly #source: AsyncIterator<unknown>;
  readonly #context: LocalContext;
  readonly #method: DescMethod;
  readonly #stopWatching: () => void;
  #headersDue: boolean;
  #ended: { readonly error: ConnectError | undefined } | undefined;
  #rejectPending: ((error: ConnectError) => void) | undefined;
  #resolvePending: ((result: IteratorResult<AnyMessage>) => void) | undefined;

  constructor(source: AsyncIterator<unknown>, context: LocalContext, method: DescMethod, headersDue: boolean) {
    this.#source = source;
    this.#context = context;
    this.#method = method;
    this.#headersDue = headersDue;
    this.#stopWatching = context.watch((error) => this.#end(error));
  }

  next(): Promise<IteratorResult<AnyMessage>> {
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      // An error is told once; after it, as after the last message, there is nothing more.
      this.#ended = { error: undefined };
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#resolvePending = resolve;
      this.#rejectPending = reject;
      this.#source.next().then(this.#onResult, this.#onError);
    });
  }

  return(): Promise<IteratorResult<AnyMessage>> {
    this.#end(undefined);
    return Promise.resolve({ done: true, value: undefined });
  }

  readonly #onResult = (result: IteratorResult<unknown>): void => {
    const resolve = this.#resolvePending;
    this.#resolvePending = undefined;
    this.#rejectPending = undefined;
    if (resolve === undefined) {
      return;
    }
    if (this.#headersDue) {
      this.#headersDue = false;
      this.#context.deliverHeaders();
    }
    if (result.done === true) {
      this.#ended = { error: undefined };
      this.#finish();
      this.#context.deliverTrailers();
      resolve({ done: true, value: undefined });
      return;
    }
    resolve({ done: false, value: messageOf(this.#method.output, result.value) });
  };

  readonly #onError = (error: unknown): void => {
    const reject = this.#rejectPending;
    this.#resolvePending = undefined;
    this.#rejectPending = undefined;
    if (reject === undefined) {
      return;
    }
    this.#ended = { error: undefined };
    this.#finish();
    reject(asConnectError(error));
  };

  /** Ends the stream from the caller's side: by an error, or without one when the caller has left. */
  #end(error: ConnectError | undefined): void {
    if (this.#ended !== undefined) {
      return;
    }
    const reject = this.#rejectPending;
    const resolve = this.#resolvePending;
    this.#ended = { error: reject === undefined ? error : undefined };
    this.#resolvePending = undefined;
    this.#rejectPending = undefined;
    if (error !== undefined) {
      this.#context.abort(error);
    }
    this.#finish();
    // The source may be waiting; iterators of ours end at once, generators when their signal lets them.
    const left = this.#source.return?.();
    left?.then(undefined, () => undefined);
    if (error === undefined) {
      resolve?.({ done: true, value: undefined });
    } else {
      reject?.(error);
    }
  }

  #finish(): void {
    this.#stopWatching();
    this.#context.end();
  }
}

function failedStream(error: ConnectError): AsyncIterator<AnyMessage> {
  return { next: () => Promise.reject(error) };
}
