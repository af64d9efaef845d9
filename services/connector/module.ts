import { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import type { Live } from "#kit/config/create-live-config.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import { createCallerCodecs } from "./caller-codecs.ts";
import type { ProvidersConfig } from "./config.ts";
import { createProviderSet, type ProviderSet } from "./create-provider-set.ts";
import { createConnectorService } from "./service.ts";

export { type ProvidersConfig, providersConfig } from "./config.ts";

/** What the connector is made of. */
export interface ConnectorModuleDeps {
  readonly mesh: Mesh;
  readonly providers: Live<ProvidersConfig>;
  /** The providers that this process serves. Absent: all. */
  readonly only?: readonly string[];
  /** Called when the connections of an earlier configuration could not be closed. */
  readonly onCloseError: (error: unknown) => void;
}

/** How long attempts that began under an earlier configuration may go on with its connections. */
const retireAfterMs = 15 * 60_000;

/** Makes the connector: one set of providers for each version of the configuration, the old one retired. */
export function createConnectorModule(deps: ConnectorModuleDeps): Module {
  const open = (config: ProvidersConfig): ProviderSet =>
    createProviderSet(config, { random: Math.random, now: Date.now });
  let current = open(deps.providers.current);
  const retired = new Map<ProviderSet, NodeJS.Timeout>();
  let unsubscribe: (() => void) | undefined;

  function close(set: ProviderSet): void {
    set.close().catch(deps.onCloseError);
  }

  return {
    name: "connector",
    needs: [],
    async start() {
      deps.mesh.serve(
        ConnectorService,
        createConnectorService({
          providerOf: (name) => current.get(name),
          callers: createCallerCodecs(),
          now: Date.now,
        }),
        deps.only,
      );
      unsubscribe = deps.providers.subscribe((config) => {
        const old = current;
        current = open(config);
        const timer = setTimeout(() => {
          retired.delete(old);
          close(old);
        }, retireAfterMs);
        timer.unref();
        retired.set(old, timer);
      });
    },
    async stop() {
      unsubscribe?.();
      for (const [set, timer] of retired) {
        clearTimeout(timer);
        close(set);
      }
      retired.clear();
      await current.close();
    },
  };
}
