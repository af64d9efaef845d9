import { join } from "node:path";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import { GatewayService } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { OwnedObjectService } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { Live } from "#kit/config/create-live-config.ts";
import { openJournal } from "#kit/journal/open-journal.ts";
import { leaveOnAbort } from "#kit/mesh/leave-on-abort.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import type { JournalConfig, ServerConfig } from "./config.ts";
import { createBatchesEndpoints } from "./endpoints/batches.ts";
import { doors } from "./endpoints/doors.ts";
import { createFilesEndpoints } from "./endpoints/files.ts";
import { createGenerationEndpoint } from "./endpoints/generation.ts";
import { createModelsEndpoints } from "./endpoints/models.ts";
import { createStoredResponsesEndpoints } from "./endpoints/stored-responses.ts";
import { createAuthFailureLimiter } from "./http/auth-failure-limiter.ts";
import { createHttpServer, type HttpServer } from "#kit/http/create-http-server.ts";
import type { Operation } from "#kit/http/create-operations.ts";
import { createRequestHandler, type RequestHandler } from "./http/handle-request.ts";
import { createIngressMetrics } from "./metrics.ts";
import { createKeeper } from "./owned/ask-keeper.ts";
import { createKeptThings } from "./owned/kept-things.ts";
import { createObjectRegistry } from "./owned/object-registry.ts";
import { createAnswerCache } from "./pipeline/answer-cache.ts";
import { KeyDirectory } from "./snapshots/key-directory.ts";
import { ModelDirectory } from "./snapshots/model-directory.ts";
import { createRequestTracer, noTracer } from "./trace-request.ts";
import { addAdminServices } from "./typed/admin-services.ts";
import { createGatewayService } from "./typed/gateway-service.ts";
import { createDelivery, type OwnedDelivery } from "./usage/create-delivery.ts";
import { createSettlementQueue, type SettlementQueue } from "./usage/settlement-queue.ts";
import type { OpenTransport, OwnedTransport } from "./usage/transport.ts";
import { createUsageRecorder } from "./usage/usage-recorder.ts";

export { journalConfig, type JournalConfig, serverConfig, type ServerConfig } from "./config.ts";
export { openDirectTransport, openNatsTransport } from "./usage/transport.ts";

/** What the ingress reads of the cache's settings. */
export interface AnswerCacheSettings {
  readonly enabled: boolean;
  readonly maxEntryBytes: number;
}

/** What the ingress is made of. */
export interface IngressModuleDeps {
  readonly mesh: Mesh;
  readonly server: ServerConfig;
  readonly journal: JournalConfig;
  readonly cache: Live<AnswerCacheSettings>;
  /** Where the journal is. */
  readonly directory: string;
  /** Opens what brings events to the ledger. */
  readonly openTransport: OpenTransport;
  /** Health, readiness and metrics of this process. */
  readonly operations: ReadonlyMap<string, Operation>;
  /** Whether requests get spans. */
  readonly tracing: boolean;
  readonly log: IngressLog;
}

/** What the ingress tells its operator. Never a prompt, a completion or a secret. */
export interface IngressLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The ingress as the program sees it. */
export interface IngressModule extends Module {
  /** The base URL; empty before the start. */
  readonly url: string;
}

const maxTypedBytes = 40 * 1024 * 1024;

/** Makes the ingress: the public port and the journal. */
export function createIngressModule(deps: IngressModuleDeps): IngressModule {
  const { mesh, log } = deps;
  const monotonicNow = (): number => performance.now();
  let server: HttpServer | undefined;
  let handler: RequestHandler | undefined;
  let stopOthers: (() => Promise<void>) | undefined;
  let delivery: OwnedDelivery | undefined;
  let settlements: SettlementQueue | undefined;
  let keys: KeyDirectory | undefined;
  let models: ModelDirectory | undefined;

  async function start(): Promise<void> {
    const opened = await openJournal({
      directory: join(deps.directory, "journal"),
      sync: deps.journal.sync,
      maxBytes: deps.journal.max_bytes,
      onError: (error) => log.error({ err: error }, "the usage journal failed"),
    });
    const { journal } = opened;
    if (opened.damaged > 0) {
      log.error({ damaged: opened.damaged }, "the usage journal has damaged records");
    }
    const transport: OwnedTransport = await deps.openTransport(mesh, journal, (error) =>
      log.warn({ err: error }, "usage events cannot be published"),
    );
    delivery = createDelivery({
      transport,
      journal,
      onState: (state) => {
        if (state.kind === "failing") {
          log.warn({ err: state.error, attempts: state.attempts }, "usage events cannot be delivered");
        }
      },
    });
    const recorder = createUsageRecorder({ journal, delivery, monotonicNow });
    const quota = mesh.client(QuotaService);
    settlements = createSettlementQueue({
      quota,
      onError: (error) => log.warn({ err: error }, "holds cannot be settled"),
    });
    recorder.recover(opened.recovered);
    keys = new KeyDirectory({
      quota,
      now: Date.now,
      monotonicNow,
      onLost: (error) => log.warn({ err: error }, "the stream of keys was lost"),
    });
    models = new ModelDirectory({
      router: mesh.client(RouterService),
      onLost: (error) => log.warn({ err: error }, "the stream of models was lost"),
    });
    keys.start();
    models.start();
    const metrics = createIngressMetrics({
      inFlight: () => server?.running ?? 0,
      journalPending: () => journal.pending,
      journalAgeMs: () => journal.oldestPendingAgeMs,
    });
    const registry = createObjectRegistry(mesh.client(OwnedObjectService));
    const runDeps = {
      models,
      keys,
      quota,
      settlements,
      recorder,
      router: mesh.client(RouterService),
      cache: createAnswerCache({
        cache: mesh.client(CacheService),
        enabled: () => deps.cache.current.enabled,
        maxEntryBytes: () => deps.cache.current.maxEntryBytes,
        monotonicNow,
        onError: (error) => log.warn({ err: error }, "the cache failed"),
      }),
      tracer: deps.tracing ? createRequestTracer() : noTracer,
      now: Date.now,
      monotonicNow,
      maxBodyBytes: deps.server.max_body,
      onOver: metrics.requestOver,
    };
    const kept = createKeptThings({
      registry,
      now: Date.now,
      onLost: (error) => log.warn({ err: error }, "it could not be remembered what a provider keeps"),
    });
    const keptDeps = { ...runDeps, registry, keeper: createKeeper(runDeps) };
    const services = connectNodeAdapter({
      acceptCompression: [],
      readMaxBytes: maxTypedBytes,
      routes(router) {
        router.service(GatewayService, leaveOnAbort(GatewayService, createGatewayService(runDeps)));
        addAdminServices(router, { mesh, keys: runDeps.keys });
      },
    });
    handler = createRequestHandler({
      endpoints: [
        ...doors.map((door) => createGenerationEndpoint(door, { ...runDeps, kept })),
        ...createModelsEndpoints(runDeps),
        ...createFilesEndpoints(keptDeps),
        ...createBatchesEndpoints(keptDeps),
        ...createStoredResponsesEndpoints(keptDeps),
      ],
      keys,
      failures: createAuthFailureLimiter(),
      services,
      operations: deps.operations,
      running: () => server?.running ?? 0,
      maxInFlight: deps.server.max_in_flight,
      monotonicNow,
      onInternalError: (requestId, error) =>
        log.error({ requestId, err: error }, "a request failed inside the gateway"),
    });
    const requests = handler;
    const colon = deps.server.listen.lastIndexOf(":");
    server = await createHttpServer({
      host: deps.server.listen.slice(0, colon).replace(/^\[|\]$/g, ""),
      port: Number(deps.server.listen.slice(colon + 1)),
      onRequest: requests.handle,
    });
    stopOthers = async () => {
      await transport.stop();
      await journal.close();
    };
  }

  return {
    name: "ingress",
    needs: ["router", "quota", "cache", "connector", "accounting"],
    get url() {
      return server?.url ?? "";
    },
    start,
    notReady() {
      if (keys?.complete !== true) {
        return "the keys have not arrived";
      }
      return models?.complete === true ? undefined : "the models have not arrived";
    },
    async drain(signal) {
      // What is known now serves the requests that still run; the feeds end while they do.
      keys?.stop();
      models?.stop();
      server?.stopListening();
      handler?.drain();
      await server?.idle(signal);
      await settlements?.drain(2_000);
      await delivery?.drain(5_000);
    },
    async stop() {
      keys?.stop();
      models?.stop();
      await server?.close();
      settlements?.stop();
      delivery?.stop();
      await stopOthers?.();
    },
  };
}
