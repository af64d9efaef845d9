import type { CacheControl } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";

/** Writes the mark that ends a prefix worth caching, as a field to spread into a block; nothing when there is none. */
export function encodeCacheControl(control: CacheControl | undefined): JsonObject {
  if (control === undefined) {
    return {};
  }
  return { cache_control: { type: "ephemeral", ...(control.ttl === "" ? {} : { ttl: control.ttl }) } };
}
