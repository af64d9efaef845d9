import { AsyncLocalStorage } from "node:async_hooks";
import type { DescMethod, DescMethodStreaming, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import type { ContextValues, Interceptor } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import type { AnyMessage } from "../message-of.ts";

/** What interceptors learn of a call. */
export interface InterceptedCall {
  readonly service: DescService;
  readonly method: DescMethod;
  readonly url: string;
  /** Of the request; interceptors of the caller add to it. */
  readonly header: Headers;
  readonly signal: AbortSignal;
  readonly contextValues: ContextValues;
  /** Of the answer, as far as they are known. */
  readonly responseHeader: Headers;
  readonly responseTrailer: Headers;
}

type AnyFunction = Parameters<Interceptor>[0];

/** Makes a unary call through interceptors, in Connect's order: the first is the outermost. */
export async function interceptUnary(
  interceptors: readonly Interceptor[],
  call: InterceptedCall,
  message: AnyMessage,
  next: (message: AnyMessage) => unknown,
): Promise<unknown> {
  // The caller says that the method is unary by calling this.
  const method = call.method as DescMethodUnary;
  const innermost: AnyFunction = async (request) => ({
    stream: false,
    service: call.service,
    method,
    header: call.responseHeader,
    trailer: call.responseTrailer,
    // A unary request as below, or what an interceptor made of it; and what next gives is of the method's output type.
    message: (await next(request.message as AnyMessage)) as AnyMessage,
  });
  const response = await applied(
    interceptors,
    innermost,
  )({
    ...call,
    stream: false,
    method,
    requestMethod: "POST",
    message,
  });
  return response.message;
}

/** Makes a server-streaming call through interceptors. Messages are awaited in the context that `next` was called in. */
export async function interceptStream(
  interceptors: readonly Interceptor[],
  call: InterceptedCall,
  message: AnyMessage,
  next: (message: AnyMessage) => AsyncIterable<unknown>,
): Promise<AsyncIterable<unknown>> {
  // The caller says that the method streams by calling this.
  const method = call.method as DescMethodStreaming;
  const innermost: AnyFunction = async (request) => {
    // A stream as below, or what an interceptor made of it.
    for await (const input of request.message as AsyncIterable<AnyMessage>) {
      return {
        stream: true,
        service: call.service,
        method,
        header: call.responseHeader,
        trailer: call.responseTrailer,
        // What next gives is of the method's output type.
        message: inThisContext(next(input)) as AsyncIterable<AnyMessage>,
      };
    }
    throw new TypeError("an interceptor left out the request");
  };
  const response = await applied(
    interceptors,
    innermost,
  )({
    ...call,
    stream: true,
    method,
    requestMethod: "POST",
    message: createAsyncIterable([message]),
  });
  // An interceptor gives what it got or a stream of its own, not a unary answer.
  return response.message as AsyncIterable<unknown>;
}

function applied(interceptors: readonly Interceptor[], innermost: AnyFunction): AnyFunction {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), innermost);
}

/** Work that a stream does while its next message is awaited belongs to the span that its call was made in. */
function inThisContext(messages: AsyncIterable<unknown>): AsyncIterable<unknown> {
  const run = AsyncLocalStorage.snapshot();
  return {
    [Symbol.asyncIterator]() {
      const iterator = run(() => messages[Symbol.asyncIterator]());
      return {
        next: () => run(() => iterator.next()),
        return: () => run(() => iterator.return?.() ?? Promise.resolve({ done: true, value: undefined })),
      };
    },
  };
}
