import type { WatchRequestsResponse } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { LedgerFilter } from "../store/store.ts";
import type { LedgerFollower, LedgerListener } from "./ledger-follower.ts";

const messageSize = 200;
const capacity = 2_000;

/** Opens a caller's stream of the requests that a filter accepts; it ends when the signal aborts. */
export function openRequestFeed(follower: LedgerFollower, filter: LedgerFilter, signal: AbortSignal): RequestFeed {
  if (follower.isFull) {
    throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "too many callers watch the ledger");
  }
  const lose = (cause: unknown): void =>
    feed.end(gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the ledger cannot be followed", { cause }));
  const listener: LedgerListener = { onEvents: (events) => feed.push(events), onLost: lose };
  const feed = new RequestFeed({
    begun: follower.listen(listener),
    accepts: (event) => matches(filter, event),
    capacity,
    onEnd: () => follower.leave(listener),
  });
  if (signal.aborted) {
    feed.end();
  } else {
    signal.addEventListener("abort", () => feed.end(), { once: true });
  }
  return feed;
}

function matches(filter: LedgerFilter, event: UsageEvent): boolean {
  const same = (wanted: string, value: string): boolean => wanted === "" || wanted === value;
  const tag = filter.tagName === "" ? undefined : event.tags[filter.tagName];
  return (
    same(filter.organizationId, event.organizationId) &&
    same(filter.teamId, event.teamId) &&
    same(filter.keyId, event.keyId) &&
    same(filter.userId, event.userId) &&
    same(filter.provider, event.provider) &&
    same(filter.model, event.model) &&
    same(filter.requestedModel, event.requestedModel) &&
    (filter.outcome === undefined || filter.outcome === event.outcome) &&
    (filter.tagName === "" || (tag !== undefined && same(filter.tagValue, tag)))
  );
}

/** What a feed is made of. */
export interface RequestFeedOptions {
  /** Resolves when what is committed from then on will be pushed. */
  readonly begun: Promise<void>;
  readonly accepts: (event: UsageEvent) => boolean;
  /** The most events that wait to be read. */
  readonly capacity: number;
  readonly onEnd: () => void;
}

/**
 * One caller's stream of requests, in messages of up to 200; the first is empty and says that the stream has begun. A
 * caller that falls behind gets UNAVAILABLE. Leaving ends it at once, even while a `next()` is pending.
 */
export class RequestFeed implements AsyncIterableIterator<WatchRequestsResponse> {
  readonly #options: RequestFeedOptions;
  #queue: UsageEvent[] = [];
  #isFirst = false;
  #pending: PromiseWithResolvers<IteratorResult<WatchRequestsResponse>> | undefined;
  #ended: { readonly error: unknown } | undefined;

  constructor(options: RequestFeedOptions) {
    this.#options = options;
    options.begun.then(
      () => {
        this.#isFirst = true;
        this.#send([]);
      },
      (cause: unknown) =>
        this.end(gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the ledger cannot be asked", { cause })),
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Adds the events that the caller asked for. */
  push(events: readonly UsageEvent[]): void {
    const wanted = this.#ended === undefined ? events.filter(this.#options.accepts) : [];
    if (wanted.length === 0) {
      return;
    }
    if (this.#queue.length + wanted.length > this.#options.capacity) {
      this.end(gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the caller reads requests more slowly than they come"));
      return;
    }
    this.#send(wanted);
  }

  /** Ends the stream, with an error when one is given; events that were not read are dropped. */
  end(error?: unknown): void {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = { error };
    this.#queue = [];
    const pending = this.#pending;
    this.#pending = undefined;
    this.#options.onEnd();
    if (error === undefined) {
      pending?.resolve({ done: true, value: undefined });
    } else {
      pending?.reject(error);
    }
  }

  next(): Promise<IteratorResult<WatchRequestsResponse>> {
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    if (this.#queue.length > 0 || this.#isFirst) {
      return Promise.resolve({ done: false, value: this.#nextMessage() });
    }
    this.#pending ??= Promise.withResolvers();
    return this.#pending.promise;
  }

  return(): Promise<IteratorResult<WatchRequestsResponse>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #send(events: readonly UsageEvent[]): void {
    this.#queue.push(...events);
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve({ done: false, value: this.#nextMessage() });
  }

  #nextMessage(): WatchRequestsResponse {
    this.#isFirst = false;
    return {
      $typeName: "penstock.accounting.v1.WatchRequestsResponse",
      requests: this.#queue.splice(0, messageSize),
    };
  }
}
