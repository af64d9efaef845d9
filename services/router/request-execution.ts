import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client, ConnectError } from "@connectrpc/connect";
import type {
  ConnectorService,
  ExecuteResponse as ConnectorResponse,
} from "#gen/penstock/connector/v1/connector_service_pb.ts";
import {
  AttemptOutcome,
  type ExecuteRequest,
  type ExecuteResponse,
  type RouterEvent,
} from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason, type ProviderError, ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { errorDetailOf, gatewayError, retryDelayMsOf } from "#kit/errors/gateway-error.ts";
import { prompt, type PromptIterator } from "#kit/mesh/prompt-stream.ts";
import { pricesOfOperation } from "#kit/pricing/operation-prices.ts";
import { priceUsage } from "#kit/pricing/price-usage.ts";
import { timestampOf } from "#kit/protobuf/time-literals.ts";
import { attemptFinished, failureOf, routerEvent } from "./attempt-events.ts";
import { backOffMs, nextStepAfter } from "./strategy/next-step.ts";
import type { RoutedModel, Target } from "./targets.ts";

/** What an execution needs beside its request. */
export interface ExecutionDeps {
  readonly connectorFor: (provider: string) => Client<typeof ConnectorService>;
  readonly newAttemptId: () => string;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  readonly random: () => number;
  /** Told what was announced of a request whose reader has left: some of it may not have arrived. */
  readonly onLeft: (requestId: string, announced: readonly RouterEvent[]) => void;
  /** Told of each failure before content, so that later requests avoid the target. */
  readonly onFailure: (target: Target, error: ProviderError) => void;
}

/** An attempt that failed before its content, and why. */
interface FailedAttempt {
  readonly attempt: RunningAttempt;
  readonly failure: ConnectError;
  readonly error: ProviderError;
}

/** A caller is not kept longer than this before the same target is tried again: it is told to wait by itself. */
const longestWaitMs = 5_000;

interface RunningAttempt {
  readonly id: string;
  readonly index: number;
  readonly target: Target;
  readonly startedAt: number;
  readonly answer: AsyncIterator<ConnectorResponse>;
  firstContentMs: number | undefined;
  committed: boolean;
}

/**
 * One request on its way through its targets. An iterator by hand rather than a generator: leaving it reaches the
 * provider's socket at once even while the next event is awaited.
 */
export class RequestExecution implements AsyncIterable<ExecuteResponse>, PromptIterator<ExecuteResponse> {
  readonly [prompt] = true;
  readonly #request: ExecuteRequest;
  readonly #model: RoutedModel;
  readonly #targets: readonly Target[];
  readonly #deps: ExecutionDeps;
  readonly #deadline: number;
  readonly #deadlineTimer: NodeJS.Timeout;
  /** The beginnings and ends of its attempts. */
  readonly #announced: RouterEvent[] = [];
  #nextTarget = 0;
  #attempts = 0;
  /** Attempts at targets that cannot do what is asked: none of them asked a provider. */
  #unable = 0;
  /** The last failure of a target that can. */
  #failed: FailedAttempt | undefined;
  #repetitions = 0;
  #current: RunningAttempt | undefined;
  #failure: ConnectError | undefined;
  #wakeSleeper: (() => void) | undefined;
  #timedOut = false;
  #over = false;

  constructor(request: ExecuteRequest, model: RoutedModel, targets: readonly Target[], deps: ExecutionDeps) {
    this.#request = request;
    this.#model = model;
    this.#targets = targets;
    this.#deps = deps;
    const askedMs = request.timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(request.timeout);
    const totalMs = Math.min(askedMs, model.timeouts.totalMs);
    this.#deadline = deps.monotonicNow() + totalMs;
    this.#deadlineTimer = setTimeout(() => this.#onDeadline(), totalMs);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ExecuteResponse>> {
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      this.#finish();
      return Promise.reject(failure);
    }
    if (this.#over) {
      return Promise.resolve({ done: true, value: undefined });
    }
    const attempt = this.#current;
    return attempt === undefined
      ? this.#begin()
      : attempt.answer.next().then(
          (result) => this.#answered(attempt, result),
          (error: unknown) => this.#broke(attempt, error),
        );
  }

  return(): Promise<IteratorResult<ExecuteResponse>> {
    if (!this.#over) {
      this.#deps.onLeft(this.#request.requestId, this.#announced);
    }
    this.#finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  #begin(): Promise<IteratorResult<ExecuteResponse>> {
    const target = this.#targets[this.#nextTarget];
    if (target === undefined) {
      this.#finish();
      return Promise.reject(
        gatewayError(ErrorReason.MODEL_NOT_PRICED, `No target of ${this.#model.name} has a price.`),
      );
    }
    return Promise.resolve(this.#message([this.#startAttempt(target)]));
  }

  #answered(
    attempt: RunningAttempt,
    result: IteratorResult<ConnectorResponse>,
  ): IteratorResult<ExecuteResponse> | Promise<IteratorResult<ExecuteResponse>> {
    if (this.#over) {
      return { done: true, value: undefined };
    }
    return result.done === true
      ? this.#fail(attempt, this.#endedEarly())
      : this.#message(this.#convert(attempt, result.value));
  }

  #broke(
    attempt: RunningAttempt,
    error: unknown,
  ): IteratorResult<ExecuteResponse> | Promise<IteratorResult<ExecuteResponse>> {
    return this.#over ? { done: true, value: undefined } : this.#fail(attempt, failureOf(error));
  }

  #convert(attempt: RunningAttempt, response: ConnectorResponse): RouterEvent[] {
    const events: RouterEvent[] = [];
    for (const { event } of response.events) {
      switch (event.case) {
        case "head":
          attempt.committed = true;
          attempt.firstContentMs = this.#deps.monotonicNow() - attempt.startedAt;
          events.push(
            routerEvent({
              case: "head",
              value: {
                $typeName: "penstock.router.v1.RouterHead",
                contentType: event.value.contentType,
                provider: attempt.target.provider,
                model: attempt.target.model,
                attempts: this.#attempts,
                droppedParams: event.value.droppedParams,
                estimated: event.value.estimated,
              },
            }),
          );
          break;
        case "body":
          events.push(routerEvent({ case: "body", value: event.value }));
          break;
        case "end":
          events.push(
            this.#finishedEvent(attempt, AttemptOutcome.SUCCEEDED, event.value.usage, {
              finishReason: event.value.finishReason,
              complete: event.value.complete,
            }),
          );
          this.#finish();
          break;
        case undefined:
          break;
      }
    }
    return events;
  }

  /** Records a failed attempt and, where that is allowed and can help, begins the next. */
  async #fail(attempt: RunningAttempt, failure: ConnectError): Promise<IteratorResult<ExecuteResponse>> {
    // Without a provider's error the connector itself failed; nothing says whether the provider was reached.
    const error = errorDetailOf(failure).providerError ?? this.#unknownFailure();
    const events = [this.#finishedEvent(attempt, this.#outcomeOf(attempt), error.usage, { error })];
    return await this.#goOn({ attempt, failure, error }, events);
  }

  async #goOn(failed: FailedAttempt, events: RouterEvent[]): Promise<IteratorResult<ExecuteResponse>> {
    const { attempt, failure, error } = failed;
    this.#current = undefined;
    if (attempt.committed || this.#timedOut) {
      this.#failure = this.#timedOut ? this.#deadlineError() : failure;
      return this.#message(events);
    }
    if (error.errorClass === ProviderErrorClass.UNSUPPORTED) {
      this.#unable += 1;
      if (this.#failed !== undefined && this.#targets[this.#nextTarget] === undefined) {
        // What became of the targets that can is what the caller has to know, and may be repeated.
        return await this.#goOn(this.#failed, events);
      }
    } else {
      this.#failed = failed;
      this.#deps.onFailure(attempt.target, error);
    }
    const step = nextStepAfter(error);
    if (step === "give-up" || this.#attempts - this.#unable >= this.#model.attempts) {
      this.#failure = failure;
      return this.#message(events);
    }
    const other = this.#targets[this.#nextTarget];
    if (other !== undefined) {
      events.push(this.#startAttempt(other));
      return this.#message(events);
    }
    const waitMs = backOffMs(this.#repetitions, retryDelayMsOf(error.retryDelay), this.#deps.random);
    if (step !== "any-target" || waitMs > longestWaitMs || this.#deps.monotonicNow() + waitMs >= this.#deadline) {
      this.#failure = failure;
      return this.#message(events);
    }
    this.#repetitions += 1;
    await this.#sleep(waitMs);
    if (this.#over) {
      return { done: true, value: undefined };
    }
    events.push(this.#startAttempt(attempt.target));
    return this.#message(events);
  }

  #startAttempt(target: Target): RouterEvent {
    if (target === this.#targets[this.#nextTarget]) {
      this.#nextTarget += 1;
    }
    const id = this.#deps.newAttemptId();
    const index = this.#attempts;
    this.#attempts += 1;
    const request = this.#request;
    const timeouts = this.#model.timeouts;
    const prices = pricesOfOperation(request.operation, target.prices);
    this.#current = {
      id,
      index,
      target,
      startedAt: this.#deps.monotonicNow(),
      firstContentMs: undefined,
      committed: false,
      answer: this.#deps
        .connectorFor(target.provider)
        .execute({
          $typeName: "penstock.connector.v1.ExecuteRequest",
          attemptId: id,
          provider: target.provider,
          model: target.model,
          operation: request.operation,
          dialect: request.dialect,
          stream: request.stream,
          body: request.body,
          imposedOutputTokens: request.imposedOutputTokens,
          dialectHeaders: request.dialectHeaders,
          contentType: request.contentType,
          ...(request.keptObject === undefined ? {} : { keptObject: request.keptObject }),
          connectTimeout: timeouts.connect,
          firstTokenTimeout: timeouts.firstToken,
          idleTimeout: timeouts.idle,
        })
        [Symbol.asyncIterator](),
    };
    return routerEvent({
      case: "attemptStarted",
      value: {
        $typeName: "penstock.router.v1.AttemptStarted",
        attemptId: id,
        attemptIndex: index,
        provider: target.provider,
        model: target.model,
        startTime: timestampOf(this.#deps.now()),
        ...(prices === undefined ? {} : { prices }),
      },
    });
  }

  #finishedEvent(
    attempt: RunningAttempt,
    outcome: AttemptOutcome,
    usage: Usage | undefined,
    more: { readonly finishReason?: FinishReason; readonly complete?: boolean; readonly error?: ProviderError },
  ): RouterEvent {
    const prices = pricesOfOperation(this.#request.operation, attempt.target.prices);
    return attemptFinished({
      attemptId: attempt.id,
      outcome,
      usage,
      costNanosUsd: usage === undefined || prices === undefined ? 0n : priceUsage(prices, usage),
      finishReason: more.finishReason ?? FinishReason.UNSPECIFIED,
      complete: more.complete ?? false,
      error: more.error,
      firstContentMs: attempt.firstContentMs,
      totalMs: this.#deps.monotonicNow() - attempt.startedAt,
    });
  }

  #outcomeOf(attempt: RunningAttempt): AttemptOutcome {
    return attempt.committed ? AttemptOutcome.TRUNCATED : AttemptOutcome.FAILED;
  }

  #endedEarly(): ConnectError {
    return gatewayError(ErrorReason.UPSTREAM_TRUNCATED, "The answer ended before it was complete.");
  }

  #deadlineError(): ConnectError {
    return gatewayError(ErrorReason.UPSTREAM_TIMEOUT, "The request took longer than it may.");
  }

  #unknownFailure(): ProviderError {
    return {
      $typeName: "penstock.type.v1.ProviderError",
      errorClass: this.#timedOut ? ProviderErrorClass.TIMEOUT : ProviderErrorClass.SERVER,
      httpStatus: 0,
      message: "",
      type: "",
      code: "",
      param: "",
      mayHaveBilled: true,
      providerRequestId: "",
    };
  }

  #message(events: RouterEvent[]): IteratorResult<ExecuteResponse> {
    for (const event of events) {
      if (event.event.case === "attemptStarted" || event.event.case === "attemptFinished") {
        this.#announced.push(event);
      }
    }
    return { done: false, value: { $typeName: "penstock.router.v1.ExecuteResponse", events } };
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wakeSleeper = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #onDeadline(): void {
    this.#timedOut = true;
    this.#wakeSleeper?.();
    // Its pending next() resolves as ended, which is reported as the deadline's failure.
    void this.#current?.answer.return?.();
  }

  #finish(): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    clearTimeout(this.#deadlineTimer);
    this.#wakeSleeper?.();
    const left = this.#current?.answer.return?.();
    left?.then(undefined, () => undefined);
    this.#current = undefined;
  }
}
