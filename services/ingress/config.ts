import { z } from "zod";
import { byteSize, count, duration } from "#kit/config/scalars.ts";

/** The `server` section: the port on which everything public is. */
export const serverConfig = z
  .strictObject({
    listen: z
      .string()
      .regex(/^.+:\d{1,5}$/, "an address is written host:port")
      .default("127.0.0.1:4000")
      .describe("Where the API, the admin services, /metrics, /healthz and /readyz are."),
    max_body: byteSize().prefault("32MiB").describe("The largest request body, after decompression."),
    max_in_flight: count().prefault("20000").describe("The most requests at once; more are refused with 503."),
    drain_timeout: duration().prefault("60s").describe("How long running requests may take when the process stops."),
  })
  .prefault({});

/** The settings of the public port. */
export type ServerConfig = z.output<typeof serverConfig>;

/** The `journal` section: where usage events wait for the ledger. */
export const journalConfig = z
  .strictObject({
    sync: z
      .enum(["group", "always"])
      .default("group")
      .describe("`group` syncs to disk every few milliseconds; `always` before an answer ends, for power failures."),
    max_bytes: byteSize().prefault("1GiB").describe("When this much waits, requests are refused with 503."),
  })
  .prefault({});

/** The settings of the journal. */
export type JournalConfig = z.output<typeof journalConfig>;
