import { z } from "zod";
import { byteSize, duration } from "#kit/config/scalars.ts";

/** The `cache` section. Without `exact`, nothing is cached. */
export const cacheConfig = z
  .strictObject({
    exact: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Whether complete answers are kept and given to the same request."),
        ttl: duration().prefault("10m").describe("How long an answer is kept."),
        max_bytes: byteSize().prefault("256MiB").describe("The most memory for answers; the least used make room."),
        max_entry_bytes: byteSize().prefault("4MiB").describe("The largest answer that is kept."),
      })
      .optional(),
  })
  .prefault({});

/** The settings of the cache. */
export type CacheConfig = z.output<typeof cacheConfig>;
