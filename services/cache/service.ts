import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError, ServiceImpl } from "@connectrpc/connect";
import type { CacheService, LookupResponse, StoreResponse } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { ExactCache } from "./exact-cache.ts";

const digestLength = 32;
const stored: StoreResponse = { $typeName: "penstock.cache.v1.StoreResponse" };

/** Translates between the RPCs of CacheService and the cache; undefined is a cache that keeps nothing. */
export function createCacheService(cache: ExactCache | undefined): ServiceImpl<typeof CacheService> {
  return {
    lookup(req) {
      checkName(req.tenantId, req.digest);
      const entry = cache?.get(req.tenantId, req.digest);
      const response: LookupResponse = { $typeName: "penstock.cache.v1.LookupResponse" };
      if (entry !== undefined) {
        response.entry = entry;
      }
      return response;
    },
    store(req) {
      checkName(req.tenantId, req.digest);
      if (req.entry === undefined) {
        throw invalid("entry", "is required");
      }
      const ttlMs = req.ttl === undefined ? undefined : durationMs(req.ttl);
      if (ttlMs !== undefined && !(ttlMs > 0)) {
        throw invalid("ttl", "must be positive");
      }
      if (cache?.set(req.tenantId, req.digest, req.entry, ttlMs) === false) {
        throw invalid("entry", "is larger than the cache takes");
      }
      return stored;
    },
    invalidate(req) {
      if (req.tenantId === "") {
        throw invalid("tenant_id", "is required");
      }
      return { entries: BigInt(cache?.deleteTenant(req.tenantId) ?? 0) };
    },
  };
}

function checkName(tenantId: string, digest: Uint8Array): void {
  if (tenantId === "") {
    throw invalid("tenant_id", "is required");
  }
  if (digest.length !== digestLength) {
    throw invalid("digest", `must have ${digestLength} bytes`);
  }
}

function invalid(param: string, problem: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${param} ${problem}`, { metadata: { param } });
}
