import { type Duration, durationFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import type { AttemptFinished, AttemptStarted } from "#gen/penstock/router/v1/router_service_pb.ts";
import { AttemptOutcome } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { reasonOfProviderClass } from "#kit/errors/reason-of-provider-class.ts";
import type { GatewayCall } from "../pipeline/gateway-call.ts";

/** What an event says beside what its call says. */
interface EventFacts {
  readonly attemptId: string;
  readonly attemptIndex: number;
  readonly provider: string;
  readonly model: string;
  readonly outcome: Outcome;
  readonly errorReason: ErrorReason;
  readonly httpStatus: number;
  readonly usage: Usage | undefined;
  readonly costNanosUsd: bigint;
  readonly priceSource: string;
  readonly leaseIds: string[];
  readonly finishReason: FinishReason;
  readonly providerRequestId: string;
  readonly startTime: AttemptStarted["startTime"];
  readonly firstTokenLatency: Duration | undefined;
  readonly totalLatency: Duration | undefined;
  readonly final: boolean;
}

/** The event of an attempt that the router reported. */
export function eventOfAttempt(
  call: GatewayCall,
  started: AttemptStarted,
  finished: AttemptFinished,
  leaseIds: string[],
  final: boolean,
): UsageEvent {
  return buildEvent(call, {
    attemptId: started.attemptId,
    attemptIndex: started.attemptIndex,
    provider: started.provider,
    model: started.model,
    outcome: outcomeOf(finished.outcome),
    errorReason:
      finished.error === undefined ? ErrorReason.UNSPECIFIED : reasonOfProviderClass(finished.error.errorClass),
    httpStatus: finished.error === undefined ? 200 : finished.error.httpStatus,
    usage: finished.usage,
    costNanosUsd: finished.costNanosUsd,
    priceSource: started.prices?.source ?? "",
    leaseIds,
    finishReason: finished.finishReason,
    providerRequestId: finished.providerRequestId,
    startTime: started.startTime,
    firstTokenLatency: finished.firstTokenLatency,
    totalLatency: finished.totalLatency,
    final,
  });
}

/** The event of an attempt during which the caller left, or the mesh broke. */
export function eventOfAbandoned(
  call: GatewayCall,
  started: AttemptStarted,
  facts: {
    readonly outcome: Outcome;
    readonly usage: Usage;
    readonly costNanosUsd: bigint;
    readonly leaseIds: string[];
    readonly totalMs: number;
  },
): UsageEvent {
  return buildEvent(call, {
    attemptId: started.attemptId,
    attemptIndex: started.attemptIndex,
    provider: started.provider,
    model: started.model,
    outcome: facts.outcome,
    errorReason: facts.outcome === Outcome.CLIENT_CLOSED ? ErrorReason.CLIENT_CLOSED : ErrorReason.SERVICE_UNAVAILABLE,
    httpStatus: 0,
    usage: facts.usage,
    costNanosUsd: facts.costNanosUsd,
    priceSource: started.prices?.source ?? "",
    leaseIds: facts.leaseIds,
    finishReason: FinishReason.UNSPECIFIED,
    providerRequestId: "",
    startTime: started.startTime,
    firstTokenLatency: undefined,
    totalLatency: durationFromMs(Math.round(facts.totalMs)),
    final: true,
  });
}

/** The event of an answer from the cache. */
export function eventOfCacheHit(
  call: GatewayCall,
  attemptId: string,
  entry: { readonly provider: string; readonly model: string },
  totalMs: number,
): UsageEvent {
  return buildEvent(call, {
    attemptId,
    attemptIndex: 0,
    provider: entry.provider,
    model: entry.model,
    outcome: Outcome.CACHE_HIT,
    errorReason: ErrorReason.UNSPECIFIED,
    httpStatus: 200,
    usage: undefined,
    costNanosUsd: 0n,
    priceSource: "",
    leaseIds: [],
    finishReason: FinishReason.UNSPECIFIED,
    providerRequestId: "",
    startTime: timestampNow(),
    firstTokenLatency: undefined,
    totalLatency: durationFromMs(Math.round(totalMs)),
    final: true,
  });
}

function buildEvent(call: GatewayCall, facts: EventFacts): UsageEvent {
  const { key, inspection } = call;
  const event: UsageEvent = {
    $typeName: "penstock.usage.v1.UsageEvent",
    attemptId: facts.attemptId,
    requestId: call.requestId,
    attemptIndex: facts.attemptIndex,
    keyId: key.id,
    teamId: key.teamId,
    organizationId: key.organizationId,
    tags: call.tags,
    operation: call.operation,
    dialect: call.dialect,
    stream: inspection.stream,
    requestedModel: inspection.model,
    provider: facts.provider,
    model: facts.model,
    outcome: facts.outcome,
    errorReason: facts.errorReason,
    httpStatus: facts.httpStatus,
    costNanosUsd: facts.costNanosUsd,
    priceSource: facts.priceSource,
    leaseIds: facts.leaseIds,
    finishReason: facts.finishReason,
    providerRequestId: facts.providerRequestId,
    final: facts.final,
    userId: key.userId,
  };
  if (facts.usage !== undefined) {
    event.usage = facts.usage;
  }
  if (facts.startTime !== undefined) {
    event.startTime = facts.startTime;
  }
  if (facts.firstTokenLatency !== undefined) {
    event.firstTokenLatency = facts.firstTokenLatency;
  }
  if (facts.totalLatency !== undefined) {
    event.totalLatency = facts.totalLatency;
  }
  return event;
}

function outcomeOf(outcome: AttemptOutcome): Outcome {
  switch (outcome) {
    case AttemptOutcome.SUCCEEDED:
      return Outcome.SUCCEEDED;
    case AttemptOutcome.TRUNCATED:
      return Outcome.TRUNCATED;
    default:
      return Outcome.FAILED;
  }
}
