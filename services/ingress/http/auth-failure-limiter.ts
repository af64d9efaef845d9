import { LRUCache } from "lru-cache";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

/** Slows down who guesses credentials. A right credential is never refused. */
export interface AuthFailureLimiter {
  /** Counts a failure of an address. Throws RATE_LIMITED in place of the failure once there were too many. */
  count(address: string): void;
}

const maxFailures = 20;
const windowMs = 60_000;

/** Makes a limiter: 20 failures a minute for each address. */
export function createAuthFailureLimiter(): AuthFailureLimiter {
  const failures = new LRUCache<string, { count: number; readonly until: number }>({ max: 10_000, ttl: windowMs });
  return {
    count(address) {
      const now = performance.now();
      const known = failures.get(address);
      const entry = known === undefined || known.until <= now ? { count: 0, until: now + windowMs } : known;
      entry.count += 1;
      if (entry !== known) {
        failures.set(address, entry);
      }
      if (entry.count > maxFailures) {
        throw gatewayError(ErrorReason.RATE_LIMITED, "Too many requests with wrong API keys.", {
          retryDelayMs: entry.until - now,
        });
      }
    },
  };
}
