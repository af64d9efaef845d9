import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Interceptor } from "@connectrpc/connect";

/** Carries the caller's trace to the other process, in the header `traceparent`. */
export const sendTraceContext: Interceptor = (next) => (request) => {
  propagation.inject(context.active(), request.header, {
    set: (header, name, value) => header.set(name, value),
  });
  return next(request);
};

/** Makes a span, below the caller's, around each call from another process. */
export function continueTrace(serviceName: string): Interceptor {
  const tracer = trace.getTracer(serviceName);
  return (next) => (request) => {
    const parent = propagation.extract(context.active(), request.header, {
      keys: (header) => [...header.keys()],
      get: (header, name) => header.get(name) ?? undefined,
    });
    const name = `${request.service.typeName}/${request.method.name}`;
    return tracer.startActiveSpan(name, { kind: SpanKind.SERVER }, parent, async (span) => {
      try {
        return await next(request);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
  };
}
