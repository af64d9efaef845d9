import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { QuotaService, ReserveResponse, Settlement } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { ModelEntry } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { freePrices } from "#kit/pricing/find-prices.ts";
import { pricesOfOperation } from "#kit/pricing/operation-prices.ts";
import type { SettlementQueue } from "../usage/settlement-queue.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import { boundRequestCost, boundTokens } from "./bound-cost.ts";
import type { GatewayCall } from "./gateway-call.ts";

/** What admission needs. */
export interface AdmissionDeps {
  readonly quota: Client<typeof QuotaService>;
  readonly settlements: SettlementQueue;
  readonly recorder: UsageRecorder;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** A request that may go on. */
export interface Admission {
  /** What is held; undefined when the key has no limit. */
  readonly held: ReserveResponse | undefined;
  /** True when a budget applies, so that only targets with a price may answer. */
  readonly pricedOnly: boolean;
  /** The leases that pay for the attempts at a provider. */
  leaseIdsAt(provider: string): string[];
  /** Gives back what the request did not use. Called once. */
  release(costs: RequestCosts): void;
}

/** What a request came to over all its attempts. */
export interface RequestCosts {
  readonly costNanosUsd: bigint;
  /** What it cost at each provider. */
  readonly providerCostsNanosUsd: Record<string, bigint>;
  readonly tokens: bigint;
}

const unlimited: Admission = {
  held: undefined,
  pricedOnly: false,
  leaseIdsAt: () => [],
  release: () => undefined,
};
const noCosts: RequestCosts = { costNanosUsd: 0n, providerCostsNanosUsd: {}, tokens: 0n };

/** Holds what a request may cost at most. Throws what the caller is told when it may not go on. */
export function admit(call: GatewayCall, model: ModelEntry, deps: AdmissionDeps): Admission | Promise<Admission> {
  const { key } = call;
  const paid = (key.hasBudget || key.mayHaveBudget) && !isFree(call, model);
  return paid || key.hasRateLimit ? reserve(call, model, paid, deps) : unlimited;
}

/** Whether nothing that answers can cost anything: such a request counts as one, and takes no budget. */
function isFree({ operation }: GatewayCall, model: ModelEntry): boolean {
  return pricesOfOperation(operation, model.priceCeiling) === freePrices;
}

async function reserve(call: GatewayCall, model: ModelEntry, paid: boolean, deps: AdmissionDeps): Promise<Admission> {
  const { key, inspection, requestId } = call;
  // A budget that may apply refuses what has no price; one that does apply always needs the bound.
  const unpriced = !key.hasBudget && model.priceCeiling === undefined;
  const bound = paid && !unpriced ? boundRequestCost(inspection, model) : undefined;
  let held: ReserveResponse;
  try {
    held = await deps.quota.reserve({
      $typeName: "penstock.quota.v1.ReserveRequest",
      requestId,
      keyId: key.id,
      costNanosUsd: bound?.desiredNanosUsd ?? 0n,
      minimumCostNanosUsd: bound?.minimumNanosUsd ?? 0n,
      tokens: bound?.tokens ?? (call.operation === Operation.COUNT_TOKENS ? 0n : boundTokens(inspection)),
      tags: call.tags,
      model: inspection.model,
      providers: model.providers,
      unpriced: paid && unpriced,
    });
  } catch (error) {
    if (!isOutage(error)) {
      throw error;
    }
    if (ConnectError.from(error).code === Code.DeadlineExceeded) {
      // The hold may have been made, or still be, without its answer having come: it must not wait for its expiry.
      deps.settlements.settle(settlementOf(requestId, key.id, [], noCosts));
    }
    if (!paid) {
      // A rate limit that nobody can check is not worth an outage.
      return unlimited;
    }
    throw gatewayError(ErrorReason.QUOTA_UNAVAILABLE, "The budget of this key cannot be verified at the moment.", {
      retryDelayMs: 1_000,
      cause: error,
    });
  }
  deps.settlements.keep(requestId);
  const pricedOnly = held.leases.length > 0;
  const opened = pricedOnly
    ? deps.recorder.open({
        requestId,
        keyId: key.id,
        teamId: key.teamId,
        organizationId: key.organizationId,
        model: inspection.model,
        leaseIds: held.leases.map(({ leaseId }) => leaseId),
        heldNanosUsd: held.heldNanosUsd,
        startedAt: deps.now(),
      })
    : undefined;
  return {
    held,
    pricedOnly,
    leaseIdsAt: (provider) =>
      held.leases.filter((lease) => lease.provider === "" || lease.provider === provider).map(({ leaseId }) => leaseId),
    release(costs) {
      if (opened !== undefined) {
        deps.recorder.close(opened);
      }
      deps.settlements.settle(
        settlementOf(
          requestId,
          key.id,
          held.leases.map(({ leaseId }) => leaseId),
          costs,
        ),
      );
    },
  };
}

function settlementOf(requestId: string, keyId: string, leaseIds: string[], costs: RequestCosts): Settlement {
  return { $typeName: "penstock.quota.v1.Settlement", requestId, keyId, leaseIds, ...costs };
}

function isOutage(error: unknown): boolean {
  switch (ConnectError.from(error).code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Canceled:
    case Code.Internal:
    case Code.Unknown:
    case Code.Aborted:
      return true;
    default:
      return false;
  }
}
