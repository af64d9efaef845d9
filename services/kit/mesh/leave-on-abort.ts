import type { DescService } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";

type StreamHandler = (request: unknown, context: HandlerContext) => AsyncIterable<unknown>;

/**
 * Wraps an implementation for callers of other processes so that its server streams are left (`return()` of the
 * iterator) when the call is cancelled, as they are by callers inside the process. Connect itself only aborts the
 * context's signal and lets a waiting handler wait.
 */
export function leaveOnAbort<S extends DescService>(service: S, implementation: ServiceImpl<S>): ServiceImpl<S> {
  const wrapped: Record<string, unknown> = {};
  for (const method of service.methods) {
    const handler = (implementation as Record<string, unknown>)[method.localName];
    if (typeof handler !== "function") {
      throw new TypeError(`${service.typeName} is served without ${method.name}`);
    }
    wrapped[method.localName] =
      method.methodKind === "server_streaming"
        ? wrapStream(handler.bind(implementation) as StreamHandler)
        : handler.bind(implementation);
  }
  // The same methods as the implementation has, with the same shapes.
  return wrapped as ServiceImpl<S>;
}

function wrapStream(handler: StreamHandler): StreamHandler {
  return (request, context) => ({
    [Symbol.asyncIterator]() {
      const source = handler(request, context)[Symbol.asyncIterator]();
      const leave = (): void => {
        source.return?.().then(undefined, () => undefined);
      };
      context.signal.addEventListener("abort", leave, { once: true });
      return {
        next: () => source.next(),
        return: () => source.return?.() ?? Promise.resolve({ done: true, value: undefined }),
      };
    },
  });
}
