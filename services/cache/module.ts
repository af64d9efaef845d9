import { CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import type { Module } from "#kit/modules/module.ts";
import type { CacheConfig } from "./config.ts";
import { createExactCache } from "./exact-cache.ts";
import { createCacheService } from "./service.ts";

export { type CacheConfig, cacheConfig } from "./config.ts";

/** What the cache is made of. */
export interface CacheModuleDeps {
  readonly mesh: Mesh;
  readonly config: CacheConfig;
}

/** Makes the cache; without the section `exact`, or with it disabled, every lookup is a miss and nothing is kept. */
export function createCacheModule(deps: CacheModuleDeps): Module {
  return {
    name: "cache",
    needs: [],
    start() {
      const { exact } = deps.config;
      const cache =
        exact === undefined || !exact.enabled
          ? undefined
          : createExactCache({
              ttlMs: exact.ttl,
              maxBytes: exact.max_bytes,
              maxEntryBytes: exact.max_entry_bytes,
            });
      deps.mesh.serve(CacheService, createCacheService(cache));
      return Promise.resolve();
    },
    stop: () => Promise.resolve(),
  };
}
