import { type ProviderError, ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";

/** What a failed attempt allows. */
export type NextStep =
  /** No target can do better: the request itself is at fault. */
  | "give-up"
  /** Another target may answer; this one will not. */
  | "other-target"
  /** Another target may answer, or this one after a while: it cannot have begun to bill. */
  | "any-target";

/** Decides what may follow a failure that came before any content. */
export function nextStepAfter(error: ProviderError): NextStep {
  switch (error.errorClass) {
    case ProviderErrorClass.INVALID_REQUEST:
    case ProviderErrorClass.CONTEXT_LENGTH:
    case ProviderErrorClass.CONTENT_FILTER:
      return "give-up";
    case ProviderErrorClass.RATE_LIMITED:
    case ProviderErrorClass.OVERLOADED:
    case ProviderErrorClass.UNREACHABLE:
      return error.mayHaveBilled ? "other-target" : "any-target";
    default:
      return "other-target";
  }
}

/**
 * How long to wait before the same target is tried again, in milliseconds: what it asked for, else twice as long each
 * time from a quarter of a second on, with jitter so that many callers do not come back at once.
 */
export function backOffMs(repetition: number, askedMs: number | undefined, random: () => number): number {
  const base = Math.min(250 * 2 ** repetition, 8_000);
  return Math.max(askedMs ?? 0, base * (0.5 + random() / 2));
}
