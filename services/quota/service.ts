import type { Duration } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  QuotaService,
  RateLimitStatus,
  ReserveRequest,
  ReserveResponse,
  SettleResponse,
} from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { type DirectoryEntry, mapKeyRecord } from "./key-directory.ts";
import type { Quota, QuotaOutcome } from "./quota.ts";
import type { RateWindow } from "./rate-window.ts";
import type { KeyStore } from "./store/store.ts";

/** What the service works with. */
export interface QuotaServiceDeps {
  readonly quota: Quota;
  readonly keys: KeyStore;
  /** Milliseconds of the quota's clock. */
  readonly now: () => number;
}

/** OpenAI's clients take no delay of a minute or more for granted and come back at once; the window can ask for 61 s. */
const longestRetryDelayMs = 59_000;

const settled: SettleResponse = { $typeName: "penstock.quota.v1.SettleResponse" };

/** Translates between the RPCs of QuotaService and the domain. Answers without a promise where nothing has to wait. */
export function createQuotaService(deps: QuotaServiceDeps): ServiceImpl<typeof QuotaService> {
  const { quota, keys, now } = deps;

  const reserveFor = (entry: DirectoryEntry, req: ReserveRequest): ReserveResponse | Promise<ReserveResponse> => {
    if (entry.key.revokeTimeMs !== undefined) {
      throw unknownKey(req.keyId);
    }
    const cost = req.costNanosUsd > 0n ? req.costNanosUsd : 0n;
    const outcome = quota.reserve(entry, {
      requestId: req.requestId,
      cost,
      minimum: leastHold(req.minimumCostNanosUsd, cost),
      tokens: Math.max(0, Number(req.tokens)),
    });
    return outcome instanceof Promise
      ? outcome.then((decided) => respond(entry, decided, now()))
      : respond(entry, outcome, now());
  };

  return {
    reserve(req) {
      if (req.requestId === "") {
        throw gatewayError(ErrorReason.INVALID_REQUEST, "request_id is required", {
          metadata: { param: "request_id" },
        });
      }
      const entry = quota.directory.get(req.keyId);
      return entry === undefined ? reserveUnknown(req) : reserveFor(entry, req);
    },
    settle(req) {
      let forwarded: Promise<void>[] | undefined;
      for (const settlement of req.settlements) {
        const forward = quota.settle({
          requestId: settlement.requestId,
          keyId: settlement.keyId,
          leaseId: settlement.leaseId,
          cost: settlement.costNanosUsd > 0n ? settlement.costNanosUsd : 0n,
          tokens: Math.max(0, Number(settlement.tokens)),
        });
        if (forward !== undefined) {
          forwarded ??= [];
          forwarded.push(forward);
        }
      }
      return forwarded === undefined ? settled : allForwarded(forwarded, req.settlements.length);
    },
    renew(req) {
      quota.reservations.renew(req.requestIds, now());
      return { $typeName: "penstock.quota.v1.RenewResponse" };
    },
    watchKeys(_req, ctx) {
      const feed = quota.watchKeys();
      ctx.signal.addEventListener("abort", () => feed.end(), { once: true });
      if (ctx.signal.aborted) {
        feed.end();
      }
      return feed;
    },
    async resolveKey(req) {
      if (req.digest.length !== 32) {
        throw gatewayError(ErrorReason.INVALID_REQUEST, "digest must have 32 bytes", { metadata: { param: "digest" } });
      }
      const key = await askStore(() => keys.findKeyByDigest(req.digest));
      if (key === undefined) {
        throw gatewayError(ErrorReason.NOT_FOUND, "no key has this digest");
      }
      quota.directory.put(key);
      return { key: mapKeyRecord(key) };
    },
  };

  async function reserveUnknown(req: ReserveRequest): Promise<ReserveResponse> {
    // Another process may have made the key a moment ago.
    const key = await askStore(() => keys.getKey(req.keyId));
    if (key !== undefined) {
      quota.directory.put(key);
    }
    const entry = quota.directory.get(req.keyId);
    if (entry === undefined) {
      throw unknownKey(req.keyId);
    }
    return reserveFor(entry, req);
  }
}

function leastHold(minimum: bigint, cost: bigint): bigint {
  // A request that costs something is not admitted to an empty budget, whatever its caller can make do with.
  const least = minimum > 0n || cost === 0n ? minimum : 1n;
  return least < cost ? least : cost;
}

async function allForwarded(forwarded: readonly Promise<void>[], settlements: number): Promise<SettleResponse> {
  const results = await Promise.allSettled(forwarded);
  const failed = results.filter((result) => result.status === "rejected");
  const [first] = failed;
  if (first !== undefined && failed.length === settlements) {
    throw gatewayError(ErrorReason.QUOTA_UNAVAILABLE, "no settlement was applied", { cause: first.reason });
  }
  // What could not be passed on is charged from the ledger when its lease ends.
  return settled;
}

async function askStore<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw gatewayError(ErrorReason.QUOTA_UNAVAILABLE, "the store of keys cannot be asked", { cause: error });
  }
}

function respond(entry: DirectoryEntry, outcome: QuotaOutcome, nowMs: number): ReserveResponse {
  switch (outcome.kind) {
    case "held":
      return reserved(entry, outcome.hold.amount, outcome.hold.leaseId, nowMs);
    case "settled":
      return reserved(entry, 0n, "", nowMs);
    case "limited":
      throw gatewayError(
        ErrorReason.RATE_LIMITED,
        outcome.limit === "requests_per_minute"
          ? `Rate limit reached: ${outcome.value} requests per minute.`
          : `Rate limit reached: ${outcome.value} tokens per minute.`,
        {
          metadata: { limit: outcome.limit, value: String(outcome.value), used: String(outcome.used) },
          ...(Number.isFinite(outcome.retryDelayMs)
            ? { retryDelayMs: Math.min(outcome.retryDelayMs, longestRetryDelayMs) }
            : {}),
        },
      );
    case "exhausted":
      throw gatewayError(ErrorReason.BUDGET_EXHAUSTED, "The budget of the key does not cover this request.", {
        metadata: { limit: "budget", value: String(entry.key.budgetNanosUsd ?? 0n) },
      });
    case "unavailable":
      throw gatewayError(ErrorReason.QUOTA_UNAVAILABLE, "The budget of the key cannot be verified at the moment.", {
        retryDelayMs: 1_000,
      });
    case "overloaded":
      throw gatewayError(ErrorReason.OVERLOADED, "Too many requests are running.", { retryDelayMs: 1_000 });
  }
}

function reserved(entry: DirectoryEntry, held: bigint, leaseId: string, nowMs: number): ReserveResponse {
  const { requests, tokens } = entry.limits;
  return {
    $typeName: "penstock.quota.v1.ReserveResponse",
    heldNanosUsd: held,
    leaseId,
    ...(requests === undefined ? undefined : { requests: statusOf(requests, nowMs) }),
    ...(tokens === undefined ? undefined : { tokens: statusOf(tokens, nowMs) }),
  };
}

function statusOf(window: RateWindow, nowMs: number): RateLimitStatus {
  return {
    $typeName: "penstock.quota.v1.RateLimitStatus",
    limit: BigInt(window.limit),
    remaining: BigInt(Math.max(0, window.limit - window.used(nowMs))),
    resetDelay: durationOf(window.resetDelayMs(nowMs)),
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

function unknownKey(keyId: string): ConnectError {
  return keyId === ""
    ? new ConnectError("key_id is required", Code.InvalidArgument)
    : gatewayError(ErrorReason.NOT_FOUND, "no such key");
}
