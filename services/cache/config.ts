import { z } from "zod";
import { byteSize, duration } from "#kit/config/scalars.ts";

/** The `cache` section. Without `exact`, nothing is cached. */
export const cacheConfig = z
  .strictObject({
    exact: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Whether complete answers are kept and given to the same request."),
        ttl: duration().default(600_000).describe("How long an answer is kept."),
        max_bytes: byteSize().default(268_435_456).describe("The most memory for answers; the least used make room."),
        max_entry_bytes: byteSize().default(4_194_304).describe("The largest answer that is kept."),
      })
      .optional(),
  })
  .prefault({});

/** The settings of the cache. */
export type CacheConfig = z.output<typeof cacheConfig>;
