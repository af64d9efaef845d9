import { context, metrics, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

/** Metrics and traces of this process. */
export interface Telemetry {
  /** Whether spans are exported; without it, making one costs next to nothing. */
  readonly tracing: boolean;
  /** All metrics in Prometheus' text format. */
  metricsText(): Promise<string>;
  /** Exports what is left. */
  stop(): Promise<void>;
}

/** Where telemetry goes. */
export interface TelemetryOptions {
  /** What this process calls itself, such as `penstock-ingress`. */
  readonly serviceName: string;
  /** Where spans go over OTLP/HTTP; undefined exports none. */
  readonly otlpEndpoint: string | undefined;
}

/** Sets up OpenTelemetry's global API for this process. Called once, before the first instrument is made. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const resource = resourceFromAttributes({ "service.name": options.serviceName });
  const reader = new PrometheusExporter({ preventServerStart: true });
  const meterProvider = new MeterProvider({ resource, readers: [reader] });
  metrics.setGlobalMeterProvider(meterProvider);
  const serializer = new PrometheusSerializer("", false);
  let tracerProvider: TracerProvider | undefined;
  if (options.otlpEndpoint !== undefined) {
    tracerProvider = new TracerProvider({
      resource,
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new OTLPTraceExporter({ url: `${options.otlpEndpoint.replace(/\/+$/, "")}/v1/traces` }),
        }),
      ],
    });
    trace.setGlobalTracerProvider(tracerProvider);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  }
  return {
    tracing: tracerProvider !== undefined,
    async metricsText() {
      const { resourceMetrics, errors } = await reader.collect();
      if (errors.length > 0) {
        throw new AggregateError(errors, "some metrics could not be read");
      }
      return serializer.serialize(resourceMetrics);
    },
    async stop() {
      await Promise.allSettled([meterProvider.shutdown(), tracerProvider?.shutdown()]);
    },
  };
}
