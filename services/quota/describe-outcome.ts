import type { Duration } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import type { ExtendResponse, RateLimitStatus, ReserveResponse } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { type BudgetCounter, type CounterLabel, nameOfCounter, type RateCounter } from "./limits/counters.ts";
import type { QuotaExtension, QuotaOutcome } from "./quota.ts";
import type { Hold, Refusal } from "./reserve.ts";

/** OpenAI's clients take no delay of a minute or more for granted and come back at once; the window can ask for 61 s. */
const longestRetryDelayMs = 59_000;

/** What the caller of Reserve is told. Throws the refusals. */
export function respond(outcome: QuotaOutcome, nowMs: number): ReserveResponse {
  switch (outcome.kind) {
    case "held":
      return reserved(outcome.hold, nowMs);
    case "settled":
      return { $typeName: "penstock.quota.v1.ReserveResponse", heldNanosUsd: 0n, leases: [] };
    case "limited":
      throw limited(outcome);
    case "exhausted":
      throw exhausted(outcome.budget);
    case "unavailable":
      throw unverified();
    case "overloaded":
      throw gatewayError(ErrorReason.OVERLOADED, "Too many requests are running.", { retryDelayMs: 1_000 });
  }
}

/** What the caller of Extend is told. Throws the refusals. */
export function respondExtension(outcome: QuotaExtension): ExtendResponse {
  switch (outcome.kind) {
    case "held":
      return { $typeName: "penstock.quota.v1.ExtendResponse", heldNanosUsd: outcome.hold.amount };
    case "exhausted":
      throw exhausted(outcome.budget);
    case "unavailable":
      throw unverified();
    case "unknown":
      throw gatewayError(ErrorReason.NOT_FOUND, "no such hold");
  }
}

function reserved(hold: Hold, nowMs: number): ReserveResponse {
  const requests = tightest(hold.limits.rates, "requests", nowMs);
  const tokens = tightest(hold.limits.rates, "tokens", nowMs);
  return {
    $typeName: "penstock.quota.v1.ReserveResponse",
    heldNanosUsd: hold.amount,
    leases: hold.parts.map(({ slice, counter }) => ({
      $typeName: "penstock.quota.v1.HeldLease",
      leaseId: slice.leaseId,
      provider: counter.account.provider ?? "",
    })),
    ...(requests === undefined ? undefined : { requests: statusOf(requests, nowMs) }),
    ...(tokens === undefined ? undefined : { tokens: statusOf(tokens, nowMs) }),
  };
}

/** The rate of which least is left. */
function tightest(rates: readonly RateCounter[], unit: RateCounter["unit"], nowMs: number): RateCounter | undefined {
  let found: RateCounter | undefined;
  for (const rate of rates) {
    if (rate.unit === unit && (found === undefined || remaining(rate, nowMs) < remaining(found, nowMs))) {
      found = rate;
    }
  }
  return found;
}

/** What is left of the whole, as far as this process can tell: as much as is left of its own share. */
function remaining({ total, window }: RateCounter, nowMs: number): number {
  const left = Math.max(0, window.limit - window.used(nowMs));
  return window.limit === total ? left : Math.floor((left * total) / Math.max(1, window.limit));
}

function statusOf(rate: RateCounter, nowMs: number): RateLimitStatus {
  return {
    $typeName: "penstock.quota.v1.RateLimitStatus",
    limit: BigInt(rate.total),
    remaining: BigInt(remaining(rate, nowMs)),
    resetDelay: durationOf(rate.window.resetDelayMs(nowMs)),
  };
}

function limited({ limit, label, value, used, retryDelayMs }: Refusal): ConnectError {
  const message =
    limit === "concurrency"
      ? `Too many requests at once: the ${nameOf(label)} may run ${value}.`
      : `Rate limit reached: ${value} ${limit === "requests_per_minute" ? "requests" : "tokens"} per minute${label.scope === "key" ? "" : ` for the ${nameOf(label)}`}.`;
  return gatewayError(ErrorReason.RATE_LIMITED, message, {
    metadata: { limit, ...describe(label), value: String(value), used: String(used) },
    ...(Number.isFinite(retryDelayMs) ? { retryDelayMs: Math.min(retryDelayMs, longestRetryDelayMs) } : {}),
  });
}

function exhausted(budget: BudgetCounter | undefined): ConnectError {
  if (budget === undefined) {
    return gatewayError(ErrorReason.BUDGET_EXHAUSTED, "The budget does not cover this request.");
  }
  const { label, account, window, endMs } = budget;
  const { roomNanosUsd: room } = account;
  const limit = budget.limitNanosUsd + account.extraNanosUsd;
  return gatewayError(
    ErrorReason.BUDGET_EXHAUSTED,
    `The ${window === "lifetime" ? "" : `${window}'s `}budget of the ${nameOf(label)} does not cover this request.`,
    {
      metadata: {
        limit: "budget",
        ...describe(label),
        window,
        value: String(limit),
        ...(room === undefined ? {} : { used: String(limit - room - (account.slice?.available ?? 0n)) }),
        ...(Number.isFinite(endMs) ? { reset: new Date(endMs).toISOString() } : {}),
      },
    },
  );
}

function unverified(): ConnectError {
  return gatewayError(ErrorReason.QUOTA_UNAVAILABLE, "The budget cannot be verified at the moment.", {
    retryDelayMs: 1_000,
  });
}

/** The key's own limits are named without its id, which its user knows. */
function nameOf(label: CounterLabel): string {
  return label.scope === "key" ? "key" : nameOfCounter(label);
}

function describe({ limitId, scope, tag, value }: CounterLabel): Record<string, string> {
  return {
    scope,
    scope_id: tag === "" ? value : `${tag}=${value}`,
    ...(limitId === "" ? {} : { limit_id: limitId }),
  };
}

function durationOf(ms: number): Duration {
  const whole = Math.ceil(ms);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(Math.floor(whole / 1_000)),
    nanos: (whole % 1_000) * 1_000_000,
  };
}
