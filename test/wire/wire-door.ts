import type { Gateway } from "../harness/start-gateway.ts";
import type { AnswerFacts, DoorDialect, PlainTool } from "./answer-facts.ts";
import type { JsonRecord } from "./json.ts";

/** What is asked at a door. */
export interface DoorRequest {
  readonly model: string;
  readonly stream: boolean;
  /** The recorded request in the door's own dialect, to be sent as it is but for the model. */
  readonly recorded: JsonRecord | undefined;
  /** Offered when there is no recorded request. */
  readonly tools: readonly PlainTool[];
}

/** An error as a door gave it. */
export interface DoorError {
  readonly type: string;
  readonly message: string;
  /** Whether it came inside a stream that had begun. */
  readonly inStream: boolean;
}

/** What a door answered, read to its end. */
export interface DoorAnswer {
  /** The HTTP status; of a typed call the one that its reason has. */
  readonly status: number;
  readonly requestId: string;
  /** `x-should-retry`; undefined when there is none. */
  readonly shouldRetry: string | undefined;
  /** `retry-after`; undefined when there is none. */
  readonly retryAfter: string | undefined;
  /** The body that was sent; undefined for a typed call. */
  readonly sent: JsonRecord | undefined;
  /** The body as it came; empty for a typed call. */
  readonly raw: string;
  readonly facts: AnswerFacts | undefined;
  readonly error: DoorError | undefined;
  /** What the published shape of the door does not allow. */
  readonly shape: readonly string[];
}

/** One way into the gateway. */
export interface WireDoor {
  /** The column of the table. */
  readonly name: string;
  /** The dialect whose recorded requests it takes as they are; undefined for the typed API. */
  readonly dialect: DoorDialect | undefined;
  /** What the door's dialect can say of an answer: what it has no place for, it says in the nearest one. */
  express(facts: AnswerFacts): AnswerFacts;
  /** Asks and reads. Rejects when no answer came in time. */
  ask(gateway: Gateway, request: DoorRequest): Promise<DoorAnswer>;
}

/** Longer than any recorded answer takes; one that does not come is a failure. */
export const answerTimeoutMs = 20_000;
