import { LRUCache } from "lru-cache";
import type { CacheEntry } from "#gen/penstock/cache/v1/cache_service_pb.ts";

/** Settings of an exact cache. */
export interface ExactCacheOptions {
  /** How long an entry is kept unless it says otherwise, in milliseconds. */
  readonly ttlMs: number;
  /** The most bytes of all entries together, their names included. */
  readonly maxBytes: number;
  /** The most bytes of one entry's body. */
  readonly maxEntryBytes: number;
}

/** Keeps complete answers in memory, apart for each tenant. */
export interface ExactCache {
  /** The entry; its body is shared with the cache and not to be changed. */
  get(tenantId: string, digest: Uint8Array): CacheEntry | undefined;
  /** Keeps a copy; false when it is larger than the cache takes. */
  set(tenantId: string, digest: Uint8Array, entry: CacheEntry, ttlMs: number | undefined): boolean;
  /** Forgets a tenant's entries; returns how many. */
  deleteTenant(tenantId: string): number;
  /** The bytes of all entries. */
  readonly bytes: number;
}

interface Item {
  readonly tenantId: string;
  readonly key: string;
  readonly entry: CacheEntry;
}

// What an entry costs beside its texts: two maps' slots and the objects.
const itemBytes = 400;

/** Makes a cache that gives up the least recently used entries when it is full. */
export function createExactCache(options: ExactCacheOptions, now?: () => number): ExactCache {
  const tenants = new Map<string, Set<string>>();
  const items = new LRUCache<string, Item>({
    maxSize: options.maxBytes,
    ttl: options.ttlMs,
    ttlResolution: 0,
    sizeCalculation: (item) => sizeOf(item),
    dispose: (item) => forget(tenants, item),
    ...(now === undefined ? {} : { perf: { now } }),
  });
  return {
    get(tenantId, digest) {
      const entry = items.get(keyOf(tenantId, digest))?.entry;
      return entry === undefined ? undefined : copyOf(entry, entry.body);
    },
    set(tenantId, digest, entry, ttlMs) {
      const key = keyOf(tenantId, digest);
      // The body may be a view of a much larger buffer, which it would keep alive.
      const item: Item = { tenantId, key, entry: copyOf(entry, Uint8Array.from(entry.body)) };
      if (entry.body.length > options.maxEntryBytes || sizeOf(item) > options.maxBytes) {
        return false;
      }
      items.set(key, item, ttlMs === undefined ? {} : { ttl: ttlMs });
      // After set, which disposes of the entry that it replaces.
      const keys = tenants.get(tenantId) ?? new Set();
      tenants.set(tenantId, keys.add(key));
      return true;
    },
    deleteTenant(tenantId) {
      const keys = [...(tenants.get(tenantId) ?? [])];
      for (const key of keys) {
        items.delete(key);
      }
      return keys.length;
    },
    get bytes() {
      return items.calculatedSize;
    },
  };
}

function keyOf(tenantId: string, digest: Uint8Array): string {
  // A digest has a fixed length, so whatever the tenant's id is, no other tenant and digest give the same text.
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("latin1") + tenantId;
}

function copyOf(entry: CacheEntry, body: Uint8Array): CacheEntry {
  return {
    $typeName: "penstock.cache.v1.CacheEntry",
    contentType: entry.contentType,
    body,
    provider: entry.provider,
    model: entry.model,
  };
}

function sizeOf({ key, tenantId, entry }: Item): number {
  const texts = key.length + tenantId.length + entry.contentType.length + entry.provider.length + entry.model.length;
  return entry.body.length + texts + itemBytes;
}

function forget(tenants: Map<string, Set<string>>, item: Item): void {
  const keys = tenants.get(item.tenantId);
  keys?.delete(item.key);
  if (keys?.size === 0) {
    tenants.delete(item.tenantId);
  }
}
