import { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { Live } from "#kit/config/create-live-config.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import type { ModelsConfig, PricesConfig } from "./config.ts";
import { createTargetHealth } from "./health/target-health.ts";
import { refreshPrices } from "./refresh-prices.ts";
import { createRouterService } from "./service.ts";
import { createTableFeed } from "./table-feed.ts";
import { buildRoutingTable, type ProviderFacts } from "./targets.ts";

export { type ModelsConfig, modelsConfig, type PricesConfig, pricesConfig } from "./config.ts";
export { checkRouting, type ProviderFacts, type RoutingProblem } from "./targets.ts";

/** What the router reads of the configuration. */
export interface RoutingConfig {
  readonly models: ModelsConfig;
  readonly prices: PricesConfig;
  readonly providers: readonly ProviderFacts[];
}

/** What the router is made of. */
export interface RouterModuleDeps {
  readonly mesh: Mesh;
  readonly routing: Live<RoutingConfig>;
}

/** Makes the router. */
export function createRouterModule(deps: RouterModuleDeps): Module {
  const table = (config: RoutingConfig) => buildRoutingTable(config.models, config.prices, config.providers);
  const feed = createTableFeed(table(deps.routing.current));
  const monotonicNow = () => performance.now();
  let unsubscribe: (() => void) | undefined;
  let stopRefreshing: (() => void) | undefined;
  return {
    name: "router",
    needs: ["connector"],
    async start() {
      deps.mesh.serve(
        RouterService,
        createRouterService({
          feed,
          health: createTargetHealth(monotonicNow),
          connectorFor: (provider) => deps.mesh.client(ConnectorService, provider),
          random: Math.random,
          now: Date.now,
          monotonicNow,
        }),
      );
      unsubscribe = deps.routing.subscribe((config) => feed.replace(table(config)));
      stopRefreshing = refreshPrices(feed, () => table(deps.routing.current));
    },
    async drain() {
      feed.end();
    },
    async stop() {
      unsubscribe?.();
      stopRefreshing?.();
    },
  };
}
