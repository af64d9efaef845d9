import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { findCataloguePrices, freePrices, pricesOfOverride } from "#kit/pricing/find-prices.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationOf } from "#kit/protobuf/time-literals.ts";
import type { ModelConfig, ModelsConfig, PricesConfig } from "./config.ts";

/** A place where a request can be answered. */
export interface Target {
  /** `provider/model`; what health and prices are kept by. */
  readonly id: string;
  readonly provider: string;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly weight: number;
  /** The model whose route names this target. */
  readonly route: string;
  /** Undefined when nobody knows what it costs. */
  readonly prices: TokenPrices | undefined;
}

/** A model that requests can name. */
export interface RoutedModel {
  readonly name: string;
  /** The targets in groups: those of the route first, then those of each fallback in order. */
  readonly groups: readonly (readonly Target[])[];
  readonly attempts: number;
  readonly timeouts: RouteTimeouts;
}

/** How long the phases of an attempt, and a request with all its attempts, may take. */
export interface RouteTimeouts {
  readonly connect: Duration;
  readonly firstToken: Duration;
  readonly idle: Duration;
  readonly totalMs: number;
}

/** What the router has to know of a provider. Never a credential. */
export interface ProviderFacts {
  readonly name: string;
  readonly kind: string;
}

/** Everything that can be routed to, made from one version of the configuration. Immutable. */
export interface RoutingTable {
  /** The model of a name: a configured one, or `provider/model` of a configured provider. */
  find(name: string): RoutedModel | undefined;
  readonly models: readonly RoutedModel[];
  /** The configured models and those of other names that were found so far. */
  known(): readonly RoutedModel[];
  /**
   * What stands for a model where there is none: a provider, or all providers in the order of the configuration, of
   * which those that do not have the operation are passed over. Undefined for an unknown provider.
   */
  findKeeper(provider: string): RoutedModel | undefined;
  /** The providers that `provider/model` may name, sorted. */
  readonly providers: readonly string[];
}

/** A mistake in the configuration that a schema cannot see. */
export interface RoutingProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const plainModel: Pick<RoutedModel, "attempts" | "timeouts"> = {
  attempts: 3,
  timeouts: timeoutsOf({ connect: 3_000, first_token: 120_000, idle: 60_000, total: 900_000 }),
};
/** One target does it or nobody: what is kept at two providers would belong to nobody. */
const oneAttempt: Pick<RoutedModel, "attempts" | "timeouts"> = { ...plainModel, attempts: 1 };

/** Names that callers make up are remembered up to this number. */
const maxOpenModels = 10_000;

/** Builds the table. */
export function buildRoutingTable(
  models: ModelsConfig,
  prices: PricesConfig,
  providers: readonly ProviderFacts[],
): RoutingTable {
  const kinds = new Map(providers.map((provider) => [provider.name, provider.kind]));

  function targetOf(id: string, weight: number, route: string): Target {
    const slash = id.indexOf("/");
    const provider = id.slice(0, slash);
    const model = id.slice(slash + 1);
    return { id, provider, model, weight, route, prices: pricesOf(id, kinds.get(provider) ?? "", model, prices) };
  }

  function groupOf(name: string): readonly Target[] {
    return (models[name]?.route ?? []).map((entry) => targetOf(entry.target, entry.weight, name));
  }

  const routed = new Map(
    Object.entries(models).map(([name, config]): [string, RoutedModel] => [
      name,
      {
        name,
        groups: [name, ...config.fallback].map(groupOf),
        attempts: config.retry.attempts,
        timeouts: timeoutsOf(config.timeout),
      },
    ]),
  );
  const open = new Map<string, RoutedModel>();
  const keeperOf = (provider: string): Target => ({
    id: provider,
    provider,
    model: "",
    weight: 1,
    route: "",
    prices: freePrices,
  });
  return {
    findKeeper(provider) {
      if (provider !== "" && !kinds.has(provider)) {
        return undefined;
      }
      const names = provider === "" ? [...kinds.keys()] : [provider];
      return { name: "", groups: names.map((name) => [keeperOf(name)]), ...oneAttempt };
    },
    models: [...routed.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    known: () => [...routed.values(), ...open.values()],
    providers: [...kinds.keys()].toSorted(),
    find(name) {
      const known = routed.get(name) ?? open.get(name);
      if (known !== undefined) {
        return known;
      }
      const slash = name.indexOf("/");
      if (slash <= 0 || slash === name.length - 1 || !kinds.has(name.slice(0, slash))) {
        return undefined;
      }
      const made: RoutedModel = { name, groups: [[targetOf(name, 1, name)]], ...plainModel };
      if (open.size < maxOpenModels) {
        open.set(name, made);
      }
      return made;
    },
  };
}

/** Finds targets of unknown providers, unknown fallbacks, and prices of targets whose provider is unknown. */
export function checkRouting(
  models: ModelsConfig,
  prices: PricesConfig,
  providers: readonly ProviderFacts[],
): readonly RoutingProblem[] {
  const names = new Set(providers.map((provider) => provider.name));
  const known = [...names].toSorted().join(", ") || "none";
  const problems: RoutingProblem[] = [];
  const checkTarget = (target: string, path: readonly (string | number)[]): void => {
    const provider = target.slice(0, target.indexOf("/"));
    if (!names.has(provider)) {
      problems.push({ path, message: `no provider is named ${JSON.stringify(provider)} (there are: ${known})` });
    }
  };
  for (const [name, model] of Object.entries(models)) {
    for (const [index, entry] of model.route.entries()) {
      checkTarget(entry.target, ["models", name, "route", index, "target"]);
    }
    for (const [index, fallback] of model.fallback.entries()) {
      if (models[fallback] === undefined) {
        problems.push({
          path: ["models", name, "fallback", index],
          message: `no model is named ${JSON.stringify(fallback)}`,
        });
      } else if (fallback === name) {
        problems.push({ path: ["models", name, "fallback", index], message: "a model cannot fall back to itself" });
      }
    }
  }
  for (const target of Object.keys(prices.overrides)) {
    checkTarget(target, ["prices", "overrides", target]);
  }
  return problems;
}

function timeoutsOf(timeout: ModelConfig["timeout"]): RouteTimeouts {
  return {
    connect: durationOf(timeout.connect),
    firstToken: durationOf(timeout.first_token),
    idle: durationOf(timeout.idle),
    totalMs: timeout.total,
  };
}

function pricesOf(id: string, kind: string, model: string, prices: PricesConfig): TokenPrices | undefined {
  const override = prices.overrides[id];
  if (override !== undefined) {
    return pricesOfOverride(override);
  }
  return kind === "echo" ? freePrices : findCataloguePrices(kind, model);
}
