import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { HeaderReader } from "./http/read-request-headers.ts";

/** Makes the span of a request. */
export interface RequestTracer {
  /**
   * Runs a request inside a span that continues the caller's trace, if it sent one. `traceparent` of the running
   * request is what its usage events carry. Without tracing, just runs it.
   */
  run<T>(name: string, header: HeaderReader, work: (traceparent: string | undefined) => Promise<T>): Promise<T>;
}

/** Runs requests without spans. */
export const noTracer: RequestTracer = { run: (_name, _header, work) => work(undefined) };

/** Makes a tracer that exports through OpenTelemetry's global provider. */
export function createRequestTracer(): RequestTracer {
  const tracer = trace.getTracer("penstock.ingress");
  return {
    run(name, header, work) {
      const parent = propagation.extract(context.active(), header, {
        keys: () => ["traceparent", "tracestate"],
        get: (read, key) => read(key),
      });
      return tracer.startActiveSpan(name, { kind: SpanKind.SERVER }, parent, async (span: Span) => {
        try {
          return await work(traceparentOf(span));
        } catch (error) {
          span.setStatus({ code: SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      });
    },
  };
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}
