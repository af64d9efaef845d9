import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Outcome, UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";

/** What usage can be grouped by. */
export type UsageDimension =
  | "key"
  | "team"
  | "organization"
  | "user"
  | "provider"
  | "model"
  | "requested_model"
  | "outcome"
  | "tag"
  | "hour"
  | "day"
  | "month";

/** Which requests, or whose usage. Empty and undefined fields take all. */
export interface LedgerFilter {
  readonly organizationId: string;
  readonly teamId: string;
  readonly keyId: string;
  readonly userId: string;
  readonly provider: string;
  readonly model: string;
  readonly requestedModel: string;
  readonly outcome: Outcome | undefined;
  readonly tagName: string;
  /** Not without tagName. */
  readonly tagValue: string;
}

/** A question about sums. Times are milliseconds since 1970, whole hours. */
export interface UsageQuery {
  readonly startTimeMs: number;
  /** The moment after the last. */
  readonly endTimeMs: number;
  readonly groupBy: readonly UsageDimension[];
  readonly filter: LedgerFilter;
  /** The tag that `tag` groups by; the one of the filter, when that has one. */
  readonly tagName: string;
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

/** Which requests to list, in which part of the list. */
export interface RequestQuery {
  readonly limit: number;
  readonly after: RequestCursor | undefined;
  readonly filter: LedgerFilter;
  /** Milliseconds since 1970; undefined has no beginning. */
  readonly startTimeMs: number | undefined;
  /** The moment after the last; undefined has no end. */
  readonly endTimeMs: number | undefined;
  readonly minCostNanosUsd: bigint;
  /** Empty takes all. */
  readonly requestId: string;
  /** Whether attempts are listed that another one followed. */
  readonly allAttempts: boolean;
}

/** An attempt of a request, and when the ledger took it. */
export interface RecordedAttempt {
  readonly event: UsageEvent;
  /** Milliseconds since 1970. */
  readonly ingestTimeMs: number;
}

/** A correction of what an attempt cost. */
export interface CostChange {
  readonly attemptId: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly oldCostNanosUsd: bigint;
  readonly oldPriceSource: string;
  readonly newCostNanosUsd: bigint;
  readonly newPriceSource: string;
  readonly reason: string;
  readonly actorKeyId: string;
}

/** What was added to the ledger between two looks. */
export interface LedgerNews {
  /** Where the next look goes on. */
  readonly position: string;
  /** The last events of requests, in the order in which they were added. */
  readonly events: readonly UsageEvent[];
  /** Whether there was more than was asked for. */
  readonly isCut: boolean;
}

/** Keeps the ledger. Every method rejects when the database cannot be asked. */
export interface LedgerStore {
  /**
   * Adds events and their sums in one transaction, all or nothing, and returns how many were new. Idempotent on
   * attempt_id. Conflicts with other transactions and lost connections are tried again. Rejects with EventDataError when
   * one of the events cannot be stored, whatever is tried.
   */
  insert(events: readonly UsageEvent[]): Promise<number>;
  /** Keeps what cannot be stored, once: an event as JSON, or whatever came in its place. */
  bury(payload: string, error: string): Promise<void>;
  /** Sums, the most expensive group first, at most `limit`. */
  sumUsage(query: UsageQuery, limit: number): Promise<readonly UsageSum[]>;
  /** Events, by default the last ones of requests, newest first. */
  listRequests(query: RequestQuery): Promise<readonly UsageEvent[]>;
  /** All attempts of a request, in order. */
  getAttempts(requestId: string): Promise<readonly RecordedAttempt[]>;
  /** The corrections of attempts, oldest first. */
  listCostChanges(attemptIds: readonly string[]): Promise<readonly CostChange[]>;
  /** The cost of all events of each lease, in nano-US-dollars; leases without events are left out. */
  sumLeases(leaseIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>;
  /**
   * What was committed, by any process, since a position that an earlier call gave; each event once. Without a
   * position, where to begin. When the answer is cut, what was left out is not given again.
   */
  readNews(position: string | undefined, limit: number): Promise<LedgerNews>;
}

/** Thrown when an event of a batch is one that the ledger cannot hold. */
export class EventDataError extends Error {
  override readonly name = "EventDataError";
}

/** A filter that takes everything. */
export const wholeLedger: LedgerFilter = {
  organizationId: "",
  teamId: "",
  keyId: "",
  userId: "",
  provider: "",
  model: "",
  requestedModel: "",
  outcome: undefined,
  tagName: "",
  tagValue: "",
};
