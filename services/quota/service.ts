import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  ExtendResponse,
  QuotaService,
  ReserveRequest,
  ReserveResponse,
  SettleResponse,
} from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { respond, respondExtension } from "./describe-outcome.ts";
import type { DirectoryEntry } from "./key-directory.ts";
import type { Quota } from "./quota.ts";
import type { KeyStore } from "./store/store.ts";

/** What the service works with. */
export interface QuotaServiceDeps {
  readonly quota: Quota;
  readonly keys: KeyStore;
  /** Milliseconds of the quota's clock. */
  readonly now: () => number;
}

const settled: SettleResponse = { $typeName: "penstock.quota.v1.SettleResponse" };

/** Translates between the RPCs of QuotaService and the domain. Answers without a promise where nothing has to wait. */
export function createQuotaService(deps: QuotaServiceDeps): ServiceImpl<typeof QuotaService> {
  const { quota, keys, now } = deps;

  const reserveFor = (entry: DirectoryEntry, req: ReserveRequest): ReserveResponse | Promise<ReserveResponse> => {
    if (entry.key.revokeTimeMs !== undefined || entry.key.disableTimeMs !== undefined) {
      throw unknownKey(req.keyId);
    }
    const cost = req.costNanosUsd > 0n ? req.costNanosUsd : 0n;
    const facts = { tags: req.tags, model: req.model, providers: req.providers };
    if (req.unpriced && quota.directory.limitsOf(entry, facts).budgets.length > 0) {
      throw gatewayError(
        ErrorReason.MODEL_NOT_PRICED,
        "The model has no price, so it cannot be used where a budget applies.",
        { metadata: { param: "model" } },
      );
    }
    const outcome = quota.reserve(
      entry,
      {
        requestId: req.requestId,
        cost,
        minimum: leastHold(req.minimumCostNanosUsd, cost),
        tokens: Math.max(0, Number(req.tokens)),
      },
      facts,
    );
    return outcome instanceof Promise ? outcome.then((decided) => respond(decided, now())) : respond(outcome, now());
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
    extend(req): ExtendResponse | Promise<ExtendResponse> {
      const outcome = quota.extend(req.requestId, req.totalNanosUsd);
      return outcome instanceof Promise ? outcome.then(respondExtension) : respondExtension(outcome);
    },
    settle(req) {
      let forwarded: Promise<void>[] | undefined;
      for (const settlement of req.settlements) {
        const forward = quota.settle({
          requestId: settlement.requestId,
          keyId: settlement.keyId,
          leaseIds: settlement.leaseIds,
          cost: settlement.costNanosUsd > 0n ? settlement.costNanosUsd : 0n,
          providerCosts: settlement.providerCostsNanosUsd,
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
      const entry = quota.directory.get(key.id);
      if (entry === undefined) {
        throw new Error("a key that was put is not there");
      }
      return { key: quota.directory.recordOf(entry) };
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

function unknownKey(keyId: string): ConnectError {
  return keyId === ""
    ? new ConnectError("key_id is required", Code.InvalidArgument)
    : gatewayError(ErrorReason.NOT_FOUND, "no such key");
}
