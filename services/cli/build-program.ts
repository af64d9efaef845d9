import { join } from "node:path";
import type { Logger } from "pino";
import { fixedLive, type Live } from "#kit/config/create-live-config.ts";
import { selectLive } from "#kit/config/select-live.ts";
import type { HttpServer } from "#kit/http/create-http-server.ts";
import { createOperations } from "#kit/http/create-operations.ts";
import { createMesh, type OwnedMesh } from "#kit/mesh/create-mesh.ts";
import { createMeshServer } from "#kit/mesh/create-mesh-server.ts";
import { createModuleManager } from "#kit/modules/create-module-manager.ts";
import type { Module, ModuleManager } from "#kit/modules/module.ts";
import { openPostgres } from "#kit/postgres/open-postgres.ts";
import { createTelemetry, type Telemetry } from "#kit/telemetry/create-telemetry.ts";
import { continueTrace, sendTraceContext } from "#kit/telemetry/trace-interceptors.ts";
import { createAccountingModule } from "../accounting/module.ts";
import { createCacheModule } from "../cache/module.ts";
import { createConnectorModule } from "../connector/module.ts";
import { createIngressModule, type IngressModule, openDirectTransport, openNatsTransport } from "../ingress/module.ts";
import { type BootstrapSecrets, createQuotaModule } from "../quota/module.ts";
import { createRouterModule } from "../router/module.ts";
import { providerFacts } from "./read-config.ts";
import type { RootConfig } from "./root-config.ts";
import { meshAddresses, type ServiceName } from "./service-names.ts";

/** What a program is built of. */
export interface ProgramDeps {
  readonly config: Live<RootConfig>;
  readonly services: readonly ServiceName[];
  /** The providers whose connector this process is; absent: all. */
  readonly providers: readonly string[] | undefined;
  readonly adminKey: string | undefined;
  readonly log: Logger;
  readonly onBootstrap: (secrets: BootstrapSecrets) => void;
}

/** A set of services, ready to run. */
export interface Program {
  /** Starts everything; rejects when a part cannot start, with nothing left running. */
  start(): Promise<void>;
  /** Drains and stops everything. */
  stop(drainTimeoutMs: number): Promise<void>;
  /** The public base URL; empty without an ingress, or before the start. */
  readonly url: () => string;
  /** Where other processes reach this one; empty when they do not. */
  readonly meshUrl: () => string;
}

/** Puts the modules of a process together: the one place that knows which service needs which other. */
export function buildProgram(deps: ProgramDeps): Program {
  const { config, log } = deps;
  const { storage, server, mesh: meshConfig, telemetry: telemetryConfig } = config.current;
  const hosts = (name: ServiceName): boolean => deps.services.includes(name);
  const warn = (message: string) => (error: unknown) => log.warn({ err: error }, message);
  const telemetry: Telemetry = createTelemetry({
    serviceName: `penstock-${deps.services.join("-")}`,
    otlpEndpoint: telemetryConfig.otlp_endpoint,
  });
  const mesh: OwnedMesh = createMesh({
    addresses: meshAddresses(meshConfig.services),
    interceptors: telemetry.tracing ? [sendTraceContext] : [],
  });
  const modules: Module[] = [];
  let databaseUrl = "";
  let manager: ModuleManager | undefined;
  let ingress: IngressModule | undefined;
  let meshServer: HttpServer | undefined;
  const operations = createOperations({
    metricsText: telemetry.metricsText,
    notReady: () => manager?.notReady() ?? [],
    onError: warn("metrics could not be read"),
  });

  if (hosts("quota") || hosts("accounting")) {
    modules.push(
      postgresModule(storage.database, storage.directory, log, (url) => {
        databaseUrl = url;
      }),
    );
  }
  if (hosts("connector")) {
    modules.push(
      createConnectorModule({
        mesh,
        providers: selectLive(config, (root) => root.providers),
        ...(deps.providers === undefined ? {} : { only: deps.providers }),
        onCloseError: warn("connections to a provider could not be closed"),
      }),
    );
  }
  if (hosts("router")) {
    modules.push(
      createRouterModule({
        mesh,
        routing: selectLive(config, (root) => ({
          models: root.models,
          prices: root.prices,
          providers: providerFacts(root),
        })),
      }),
    );
  }
  if (hosts("cache")) {
    modules.push(createCacheModule({ mesh, config: config.current.cache }));
  }
  if (hosts("accounting")) {
    modules.push(
      createAccountingModule({
        mesh,
        config: config.current.accounting,
        alerts: config.current.alerts,
        databaseUrl: () => databaseUrl,
        ...(storage.bus === "embedded" ? {} : { natsUrl: storage.bus }),
        onBuried: (count) => log.error({ count }, "usage events became dead letters"),
        onError: warn("accounting failed and tries again"),
      }),
    );
  }
  if (hosts("quota")) {
    modules.push(
      createQuotaModule({
        mesh,
        config: config.current.quota,
        limits: selectLive(config, (root) => root.limits),
        databaseUrl: () => databaseUrl,
        adminKey: deps.adminKey,
        onBootstrap: deps.onBootstrap,
        isOnlyHolder: storage.database === "embedded",
        onError: warn("quota failed and tries again"),
      }),
    );
  }
  if (meshConfig.listen !== undefined) {
    const { listen } = meshConfig;
    modules.push({
      name: "mesh-server",
      needs: deps.services,
      async start() {
        const colon = listen.lastIndexOf(":");
        meshServer = await createMeshServer({
          host: listen.slice(0, colon),
          port: Number(listen.slice(colon + 1)),
          served: mesh.served,
          operations,
          interceptors: telemetry.tracing ? [continueTrace("penstock")] : [],
        });
      },
      async drain(signal) {
        meshServer?.stopListening();
        await meshServer?.idle(signal);
      },
      stop: async () => await meshServer?.close(),
    });
  }
  if (hosts("ingress")) {
    ingress = createIngressModule({
      mesh,
      server,
      journal: config.current.journal,
      cache: fixedLive({
        enabled: config.current.cache.exact?.enabled ?? false,
        maxEntryBytes: config.current.cache.exact?.max_entry_bytes ?? 0,
      }),
      directory: join(storage.directory, "ingress"),
      openTransport: storage.bus === "embedded" ? openDirectTransport : openNatsTransport(storage.bus),
      operations,
      tracing: telemetry.tracing,
      log,
    });
    modules.push(ingress);
  }
  manager = createModuleManager(modules, {
    onStopError: (module, error) => log.error({ module, err: error }, "a module did not stop well"),
  });
  const running = manager;
  return {
    start: running.start,
    async stop(drainTimeoutMs) {
      await running.stop(drainTimeoutMs);
      // Connections to other processes and exporters outlive every module that may use them.
      mesh.close();
      await telemetry.stop();
    },
    url: () => ingress?.url ?? "",
    meshUrl: () => meshServer?.url ?? "",
  };
}

function postgresModule(database: string, directory: string, log: Logger, onUrl: (url: string) => void): Module {
  let close: (() => Promise<void>) | undefined;
  return {
    name: "postgres",
    needs: [],
    async start() {
      const postgres = await openPostgres({ database, directory, log: (line) => log.debug({ line }, "postgres") });
      close = postgres.close;
      onUrl(postgres.url);
    },
    stop: async () => await close?.(),
  };
}
