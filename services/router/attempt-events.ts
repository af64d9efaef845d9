import { ConnectError } from "@connectrpc/connect";
import type { AttemptOutcome, RouterEvent } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { ProviderError } from "#gen/penstock/type/v1/error_pb.ts";
import { durationOf } from "#kit/protobuf/time-literals.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";

/** What is known of an attempt that has ended. */
export interface FinishedAttempt {
  readonly attemptId: string;
  readonly outcome: AttemptOutcome;
  readonly usage: Usage | undefined;
  readonly costNanosUsd: bigint;
  readonly finishReason: FinishReason;
  readonly complete: boolean;
  readonly error: ProviderError | undefined;
  readonly firstContentMs: number | undefined;
  readonly totalMs: number;
}

/** Wraps one event. */
export function routerEvent(event: RouterEvent["event"]): RouterEvent {
  return { $typeName: "penstock.router.v1.RouterEvent", event };
}

/** The event that reports an attempt. */
export function attemptFinished(attempt: FinishedAttempt): RouterEvent {
  return routerEvent({
    case: "attemptFinished",
    value: {
      $typeName: "penstock.router.v1.AttemptFinished",
      attemptId: attempt.attemptId,
      outcome: attempt.outcome,
      costNanosUsd: attempt.costNanosUsd,
      finishReason: attempt.finishReason,
      complete: attempt.complete,
      providerRequestId: attempt.error?.providerRequestId ?? "",
      totalLatency: durationOf(Math.round(attempt.totalMs)),
      ...(attempt.usage === undefined ? {} : { usage: attempt.usage }),
      ...(attempt.error === undefined ? {} : { error: attempt.error }),
      ...(attempt.firstContentMs === undefined
        ? {}
        : { firstTokenLatency: durationOf(Math.round(attempt.firstContentMs)) }),
    },
  });
}

/** What a connector's stream failed with, as an error of the mesh. */
export function failureOf(error: unknown): ConnectError {
  return ConnectError.from(error);
}
