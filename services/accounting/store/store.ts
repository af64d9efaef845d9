import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Outcome, UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";

/** What usage can be grouped by. */
export type UsageDimension =
  | "key"
  | "team"
  | "organization"
  | "provider"
  | "model"
  | "requested_model"
  | "outcome"
  | "hour"
  | "day";

/** A question about sums. Times are milliseconds since 1970, whole hours. */
export interface UsageQuery {
  readonly startTimeMs: number;
  /** The moment after the last. */
  readonly endTimeMs: number;
  readonly groupBy: readonly UsageDimension[];
  /** Only this key's; all when empty. */
  readonly keyId: string;
  /** Only this team's; all when empty. */
  readonly teamId: string;
}

/** The sum of one group. */
export interface UsageSum {
  /** In the order of the question; outcomes are the names of the protobuf values, times RFC 3339 in UTC. */
  readonly dimensions: readonly string[];
  readonly attempts: bigint;
  readonly requests: bigint;
  readonly usage: Usage;
  readonly costNanosUsd: bigint;
}

/** A place in the list of requests, newest first. */
export interface RequestCursor {
  /** Microseconds since 1970. */
  readonly startTimeUs: bigint;
  readonly attemptId: string;
}

/** Which requests to list. Empty and undefined filters take all. */
export interface RequestQuery {
  readonly limit: number;
  readonly after: RequestCursor | undefined;
  readonly keyId: string;
  readonly outcome: Outcome | undefined;
  readonly requestedModel: string;
}

/** Keeps the ledger. Every method rejects when the database cannot be asked. */
export interface LedgerStore {
  /**
   * Adds events and their sums in one transaction, all or nothing, and returns how many were new. Idempotent on
   * attempt_id. Conflicts with other transactions and lost connections are tried again. Rejects with EventDataError when
   * one of the events cannot be stored, whatever is tried.
   */
  insert(events: readonly UsageEvent[]): Promise<number>;
  /** Keeps an event that cannot be stored, once. */
  bury(event: UsageEvent, error: string): Promise<void>;
  /** Sums, the most expensive group first, at most `limit`. */
  sumUsage(query: UsageQuery, limit: number): Promise<readonly UsageSum[]>;
  /** The last events of requests, newest first. */
  listRequests(query: RequestQuery): Promise<readonly UsageEvent[]>;
  /** All attempts of a request, in order. */
  getAttempts(requestId: string): Promise<readonly UsageEvent[]>;
  /** The cost of all events of each lease, in nano-US-dollars; leases without events are left out. */
  sumLeases(leaseIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>;
}

/** Thrown when an event of a batch is one that the ledger cannot hold. */
export class EventDataError extends Error {
  override readonly name = "EventDataError";
}
