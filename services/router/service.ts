import { randomUUIDv7 } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client, ServiceImpl } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import type { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import type { RouterEvent, RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError, retryDelayMsOf } from "#kit/errors/gateway-error.ts";
import { isKeptOperation } from "#kit/operations/is-kept-operation.ts";
import type { TargetHealth } from "./health/target-health.ts";
import { modelEntries, modelEntry } from "./model-entries.ts";
import { type ExecutionDeps, RequestExecution } from "./request-execution.ts";
import { orderTargets } from "./strategy/order-targets.ts";
import type { RoutedModel, RoutingTable, Target } from "./targets.ts";
import type { TableFeed } from "./table-feed.ts";

/** What the service needs. */
export interface RouterDeps {
  readonly feed: TableFeed;
  readonly health: TargetHealth;
  readonly connectorFor: (provider: string) => Client<typeof ConnectorService>;
  readonly random: () => number;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
}

/** How long a target that limits the rate is left behind when it does not say for how long. */
const defaultCoolMs = 1_000;
/** What was announced of requests whose readers left is kept until they have asked, which they do at once. */
const maxLeft = 10_000;
const leftTtlMs = 60_000;

/** Translates between RouterService and the routing of requests. */
export function createRouterService(deps: RouterDeps): ServiceImpl<typeof RouterService> {
  const left = new LRUCache<string, readonly RouterEvent[]>({ max: maxLeft, ttl: leftTtlMs });
  const execution: ExecutionDeps = {
    connectorFor: deps.connectorFor,
    newAttemptId: randomUUIDv7,
    now: deps.now,
    monotonicNow: deps.monotonicNow,
    random: deps.random,
    onLeft: (requestId, announced) => void left.set(requestId, announced),
    onFailure(target, error) {
      const askedMs = retryDelayMsOf(error.retryDelay);
      if (askedMs !== undefined || error.httpStatus === 429) {
        deps.health.cool(target, askedMs ?? defaultCoolMs);
      }
    },
  };

  function find(table: RoutingTable, name: string): RoutedModel {
    const model = table.find(name);
    if (model === undefined) {
      throw gatewayError(ErrorReason.MODEL_NOT_FOUND, `The model ${JSON.stringify(name)} does not exist.`);
    }
    return model;
  }

  function findKeeper(table: RoutingTable, provider: string): RoutedModel {
    const keeper = table.findKeeper(provider);
    if (keeper === undefined) {
      throw gatewayError(
        ErrorReason.NOT_FOUND,
        `The provider ${JSON.stringify(provider.slice(0, 100))} does not exist.`,
      );
    }
    return keeper;
  }

  function order(model: RoutedModel, operation: Operation, pricedOnly: boolean) {
    return orderTargets(model, { random: deps.random, cooling: deps.health.isCooling, operation, pricedOnly });
  }

  /** The targets at a provider alone: what the request refers to is there and nowhere else. */
  function atProvider(targets: readonly Target[], provider: string): readonly Target[] {
    const there = targets.filter((target) => target.provider === provider);
    if (there.length === 0 && targets.length > 0) {
      throw gatewayError(
        ErrorReason.UNSUPPORTED_FEATURE,
        "This model is not at the provider that keeps what the request refers to.",
        { metadata: { param: "model" } },
      );
    }
    return there;
  }

  return {
    recallAttempts: ({ requestId }) => ({
      $typeName: "penstock.router.v1.RecallAttemptsResponse",
      events: [...(left.get(requestId) ?? [])],
    }),
    execute(request) {
      const { operation, provider } = request;
      const table = deps.feed.current;
      const model = isKeptOperation(operation) ? findKeeper(table, provider) : find(table, request.model);
      const targets = order(model, operation, request.pricedOnly);
      return new RequestExecution(request, model, provider === "" ? targets : atProvider(targets, provider), execution);
    },
    explain(request) {
      const model = find(deps.feed.current, request.model);
      return {
        targets: order(model, Operation.CHAT, false).map((target, index) => ({
          provider: target.provider,
          model: target.model,
          route: target.route,
          weight: BigInt(Math.round(target.weight * 1_000)),
          reason: deps.health.isCooling(target)
            ? "It asked to be left alone for a while."
            : index === 0
              ? "It was drawn by weight from the route."
              : `It is tried after ${index} other ${index === 1 ? "target" : "targets"}.`,
        })),
      };
    },
    getModel(request) {
      return { model: modelEntry(find(deps.feed.current, request.model), timestampFromMs(deps.now())) };
    },
    watchModels(_request, context) {
      const createTime = timestampFromMs(deps.now());
      return deps.feed.watch(context.signal, (table) => ({
        models: modelEntries(table, createTime),
        openProviders: [...table.providers],
      }));
    },
  };
}
