import { Buffer } from "node:buffer";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client, ConnectError } from "@connectrpc/connect";
import {
  type AttemptFinished,
  AttemptOutcome,
  type AttemptStarted,
  type ExecuteResponse,
  type ModelEntry,
  type RouterHead,
  type RouterService,
} from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { asConnectError } from "#kit/mesh/as-connect-error.ts";
import { isKeptOperation } from "#kit/operations/is-kept-operation.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { priceUsage } from "#kit/pricing/price-usage.ts";
import type { ModelDirectory } from "../snapshots/model-directory.ts";
import type { RequestTracer } from "../trace-request.ts";
import { eventOfAbandoned, eventOfAttempt } from "../usage/build-usage-event.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";
import type { Admission, AdmissionDeps } from "./admit.ts";
import { admit } from "./admit.ts";
import type { AnswerCache, AnswerCopy } from "./answer-cache.ts";
import { authorizeModel } from "./authorize-model.ts";
import { imposedOutputTokens } from "./bound-cost.ts";
import { CostTally } from "./cost-tally.ts";
import { countStreamEvents } from "./count-stream-events.ts";
import type { GatewayCall, ReplySink } from "./gateway-call.ts";
import { askLastWords, type LastWords } from "./last-words.ts";
import { requireJournal } from "./require-journal.ts";
import { createHoldGuard, type HoldGuard } from "./hold-guard.ts";
import { keeperEntry } from "./keeper-entry.ts";

/** What requests need. */
export interface RequestRunDeps extends AdmissionDeps {
  readonly models: ModelDirectory;
  readonly router: Client<typeof RouterService>;
  readonly recorder: UsageRecorder;
  readonly tracer: RequestTracer;
  readonly cache: AnswerCache;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** Told once of each request that reached its end. */
  readonly onOver: (call: GatewayCall, outcome: Outcome, totalMs: number, firstByteMs: number | undefined) => void;
}

/** One request from its admission to its last byte. */
export class RequestRun {
  readonly #call: GatewayCall;
  readonly #sink: ReplySink;
  readonly #deps: RequestRunDeps;
  #cancelled = false;
  #answer: AsyncIterator<ExecuteResponse> | undefined;
  #admission: Admission | undefined;
  /** What was held, of which the answer's head speaks also when the hold is settled. */
  #held: Admission["held"];
  #attempt: AttemptStarted | undefined;
  #attemptStartedAt = 0;
  #attemptEndedAt: number | undefined;
  #overheadMs = 0;
  #firstByteMs: number | undefined;
  #head: RouterHead | undefined;
  #headSent = false;
  #copy: AnswerCopy | undefined;
  #streamEvents = 0;
  #guard: HoldGuard | undefined;
  readonly #tally = new CostTally();
  #finished = false;

  constructor(call: GatewayCall, sink: ReplySink, deps: RequestRunDeps) {
    this.#call = call;
    this.#sink = sink;
    this.#deps = deps;
  }

  /** Runs the request. Never rejects: whatever happens ends in the sink. */
  async run(): Promise<void> {
    try {
      const { operation, inspection, key } = this.#call;
      const found = isKeptOperation(operation) ? keeperEntry : this.#deps.models.find(inspection.model);
      const model = found instanceof Promise ? await found : found;
      if (model !== keeperEntry) {
        authorizeModel(key, model.name);
      }
      requireJournal(this.#deps.recorder);
      if (this.#deps.cache.appliesTo(this.#call) && (await this.#answeredFromCache())) {
        return;
      }
      await this.#execute(model);
    } catch (error) {
      this.#fail(asConnectError(error));
    }
  }

  /** The caller has left: the provider's socket is closed in this turn. */
  cancel(): void {
    if (this.#cancelled || this.#finished) {
      return;
    }
    this.#cancelled = true;
    const left = this.#answer?.return?.();
    left?.then(undefined, () => undefined);
    const { router } = this.#deps;
    const words = this.#answer === undefined ? undefined : askLastWords(router, this.#call.requestId, this.#attempt);
    // askLastWords never rejects.
    void Promise.resolve(words).then((heard) => this.#endLeft(heard));
  }

  /** Records what became of the attempts of a caller who left, also those of which nothing had been heard by then. */
  #endLeft(heard: LastWords | undefined): void {
    for (const { started, finished } of heard?.ended ?? []) {
      this.#attempt = started;
      this.#recordFailed(finished, false);
    }
    this.#attempt = heard?.running;
    this.#abandon(Outcome.CLIENT_CLOSED);
    this.#settle();
    this.#over(Outcome.CLIENT_CLOSED);
  }

  async #answeredFromCache(): Promise<boolean> {
    const found = await this.#deps.cache.find(this.#call);
    if (this.#cancelled) {
      return true;
    }
    if (found.kind === "miss") {
      this.#copy = found.copy;
      return false;
    }
    const { entry, event } = found;
    this.#deps.recorder.record(event, () => {
      if (this.#cancelled) {
        return;
      }
      this.#sink.head({
        contentType: entry.contentType,
        provider: entry.provider,
        model: entry.model,
        attempts: 0,
        cache: "hit",
        droppedParams: [],
        estimated: false,
        costNanosUsd: 0n,
        overheadMs: this.#elapsedMs(),
        requests: undefined,
        tokens: undefined,
      });
      this.#sink.end(entry.body);
      this.#over(Outcome.CACHE_HIT);
    });
    return true;
  }

  async #execute(model: ModelEntry): Promise<void> {
    const call = this.#call;
    const admitted = admit(call, model, this.#deps);
    this.#admission = admitted instanceof Promise ? await admitted : admitted;
    if (this.#cancelled) {
      this.#settle();
      return;
    }
    const { held } = this.#admission;
    this.#held = held;
    this.#answer = this.#deps.router
      .execute({
        $typeName: "penstock.router.v1.ExecuteRequest",
        requestId: call.requestId,
        model: model.name,
        operation: call.operation,
        dialect: call.dialect,
        stream: call.inspection.stream,
        body: call.body,
        imposedOutputTokens: held === undefined ? 0n : imposedOutputTokens(call.inspection, model, held.heldNanosUsd),
        pricedOnly: this.#admission.pricedOnly,
        dialectHeaders: call.dialectHeaders,
        contentType: call.contentType,
        provider: call.provider ?? "",
        ...(call.keptObject === undefined ? {} : { keptObject: call.keptObject }),
        ...(call.timeoutMs === undefined ? {} : { timeout: durationFromMs(call.timeoutMs) }),
      })
      [Symbol.asyncIterator]();
    for (;;) {
      const result = await this.#answer.next();
      if (this.#cancelled) {
        return;
      }
      if (result.done === true) {
        break;
      }
      const blocked = this.#take(result.value);
      if (this.#finished) {
        return;
      }
      if (this.#guard?.covers(this.#streamEvents) === false && !(await this.#guard.extend())) {
        this.#stopAtHold();
        return;
      }
      if (this.#cancelled) {
        return;
      }
      if (blocked) {
        await new Promise<void>((resolve) => this.#sink.onDrain(resolve));
      }
    }
    throw gatewayError(ErrorReason.INTERNAL, "The answer ended without its report.");
  }

  /** Handles one message of the router. True when the caller takes bytes more slowly than they come. */
  #take(response: ExecuteResponse): boolean {
    const bodies: Uint8Array[] = [];
    let finished: AttemptFinished | undefined;
    for (const { event } of response.events) {
      switch (event.case) {
        case "attemptStarted":
          if (finished !== undefined) {
            this.#recordFailed(finished, false);
            finished = undefined;
          }
          this.#attempt = event.value;
          this.#attemptStartedAt = this.#deps.monotonicNow();
          this.#overheadMs += this.#attemptStartedAt - (this.#attemptEndedAt ?? this.#call.arrivedAt);
          break;
        case "head":
          this.#head = event.value;
          this.#guard = createHoldGuard(this.#deps.quota, this.#call, this.#admission, this.#attempt?.prices);
          this.#firstByteMs = this.#elapsedMs();
          break;
        case "body":
          bodies.push(event.value);
          break;
        case "attemptFinished":
          finished = event.value;
          this.#attemptEndedAt = this.#deps.monotonicNow();
          break;
        case undefined:
          break;
      }
    }
    const body = bodies.length <= 1 ? bodies[0] : Buffer.concat(bodies);
    if (finished !== undefined && finished.outcome === AttemptOutcome.SUCCEEDED) {
      this.#complete(finished, body);
      return false;
    }
    let blocked = false;
    if (body !== undefined) {
      this.#sendHead(undefined);
      this.#note(body);
      blocked = !this.#sink.body(body);
    }
    if (finished !== undefined) {
      this.#recordFailed(finished, true);
    }
    return blocked;
  }

  /** The answer is whole: its event is in the journal before its last byte leaves. */
  #complete(finished: AttemptFinished, lastBytes: Uint8Array | undefined): void {
    this.#finished = true;
    const event = this.#eventOf(finished, true);
    if (event === undefined) {
      return;
    }
    if (lastBytes !== undefined) {
      this.#note(lastBytes);
    }
    this.#deps.recorder.record(
      event,
      () => {
        if (this.#cancelled) {
          return;
        }
        this.#sendHead(finished.costNanosUsd);
        this.#sink.end(lastBytes);
        if (finished.complete && this.#head !== undefined) {
          this.#copy?.keep(this.#head);
        }
      },
      this.#call.traceparent,
    );
    this.#settle();
    this.#over(Outcome.SUCCEEDED);
  }

  /** The budget has no more for a stream that goes on: the provider is left, and the caller told why. */
  #stopAtHold(): void {
    if (this.#cancelled || this.#finished) {
      return;
    }
    const left = this.#answer?.return?.();
    left?.then(undefined, () => undefined);
    this.#fail(gatewayError(ErrorReason.BUDGET_EXHAUSTED, "The budget does not cover the rest of this answer."));
  }

  #recordFailed(finished: AttemptFinished, final: boolean): void {
    const event = this.#eventOf(finished, final);
    if (event !== undefined) {
      this.#deps.recorder.record(event, ignoreWritten, this.#call.traceparent);
    }
  }

  #eventOf(finished: AttemptFinished, final: boolean): UsageEvent | undefined {
    const started = this.#attempt;
    if (started === undefined) {
      return undefined;
    }
    this.#attempt = undefined;
    // A connector that died in the middle of an answer could not tell what it had used.
    const isUntold = finished.usage === undefined && this.#streamEvents > 0;
    const told = isUntold ? { ...finished, ...this.#estimate(started) } : finished;
    this.#tally.add(started.provider, told.costNanosUsd, told.usage);
    return eventOfAttempt(this.#call, started, told, this.#leaseIds(started), final);
  }

  #fail(error: ConnectError): void {
    if (this.#cancelled || this.#finished) {
      return;
    }
    this.#finished = true;
    // An attempt that was not reported: the mesh broke between the ingress and the provider.
    this.#abandon(this.#headSent ? Outcome.TRUNCATED : Outcome.FAILED);
    this.#settle();
    this.#sink.fail(error);
    this.#over(this.#headSent ? Outcome.TRUNCATED : Outcome.FAILED);
  }

  /** Records an attempt that nobody else reports, with what was seen of it. */
  #abandon(outcome: Outcome): void {
    const started = this.#attempt;
    if (started === undefined) {
      return;
    }
    this.#attempt = undefined;
    const seen = this.#estimate(started);
    this.#tally.add(started.provider, seen.costNanosUsd, seen.usage);
    const totalMs = this.#deps.monotonicNow() - this.#attemptStartedAt;
    const facts = { outcome, ...seen, leaseIds: this.#leaseIds(started), totalMs };
    this.#deps.recorder.record(eventOfAbandoned(this.#call, started, facts), ignoreWritten);
  }

  /** What an attempt came to by what was seen of it: its input, and a token for each event that was passed on. */
  #estimate({ prices }: AttemptStarted): { readonly usage: Usage; readonly costNanosUsd: bigint } {
    const usage = estimateUsage(this.#call.inspection.inputTextBytes ?? this.#call.body.length, this.#streamEvents);
    return { usage, costNanosUsd: prices === undefined ? 0n : priceUsage(prices, usage) };
  }

  #note(body: Uint8Array): void {
    this.#copy?.add(body);
    if (this.#call.inspection.stream) {
      this.#streamEvents += countStreamEvents(body);
    }
  }

  #sendHead(costNanosUsd: bigint | undefined): void {
    const head = this.#head;
    if (this.#headSent || head === undefined) {
      return;
    }
    this.#headSent = true;
    const held = this.#held;
    this.#sink.head({
      contentType: head.contentType,
      provider: head.provider,
      model: head.model,
      attempts: head.attempts,
      cache: this.#copy === undefined ? "bypass" : "miss",
      droppedParams: head.droppedParams,
      estimated: head.estimated,
      costNanosUsd: this.#call.inspection.stream ? undefined : costNanosUsd,
      overheadMs: this.#overheadMs,
      requests: held?.requests,
      tokens: held?.tokens,
    });
  }

  #settle(): void {
    this.#admission?.release(this.#tally.total);
    this.#admission = undefined;
  }

  #leaseIds(started: AttemptStarted): string[] {
    return this.#admission?.leaseIdsAt(started.provider) ?? [];
  }

  #over(outcome: Outcome): void {
    this.#deps.onOver(this.#call, outcome, this.#elapsedMs(), this.#firstByteMs);
  }

  #elapsedMs(): number {
    return this.#deps.monotonicNow() - this.#call.arrivedAt;
  }
}

function ignoreWritten(): void {
  // The recorder keeps the error and refuses the next requests; this one's caller has nothing to wait for.
}
