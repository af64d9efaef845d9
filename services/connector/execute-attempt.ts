import { randomUUID } from "node:crypto";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type DecodedError, type Json, ProviderStreamError } from "#codec/codec.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";
import { answerEstimated } from "./answer/answer-estimated.ts";
import type { AnswerReader } from "./answer/answer-reader.ts";
import { AttemptStream } from "./answer/attempt-stream.ts";
import { type AttemptFailure, attemptError, failureOfStatus, requestIdOf } from "./answer/map-provider-error.ts";
import {
  failureOfAuthorization,
  failureOfRequest,
  parseErrorBody,
  statusOfDecoded,
  withErrorType,
} from "./answer/attempt-failures.ts";
import { PhaseTimer } from "./answer/phase-timer.ts";
import { maskSecrets } from "./answer/mask-secrets.ts";
import type { CallerCodecs } from "./caller-codecs.ts";
import type { Provider } from "./providers/provider.ts";
import { prepareAttempt } from "./request/prepare-attempt.ts";
import type { EstimatedAttempt, PreparedAttempt } from "./request/prepared-attempt.ts";
import type { UpstreamCall, UpstreamHandler, UpstreamHeaders, UpstreamRequest } from "./upstream/upstream.ts";

/** What an attempt needs beside its request. */
export interface ExecuteAttemptDeps {
  readonly callers: CallerCodecs;
  /** Unix milliseconds. */
  readonly now: () => number;
}

const defaultConnectMs = 3_000;
const defaultFirstTokenMs = 60_000;
const defaultIdleMs = 60_000;
/** How long a provider may keep the connection busy after its final marker before it is cut. */
const afterEndMs = 1_000;
const maxErrorBytes = 256 * 1024;

/** Makes one attempt at one provider. The stream's events and errors are those that ConnectorService.Execute promises. */
export function executeAttempt(request: ExecuteRequest, provider: Provider, deps: ExecuteAttemptDeps): AttemptStream {
  const stream = new AttemptStream();
  let prepared: PreparedAttempt | EstimatedAttempt;
  try {
    prepared = prepareAttempt(request, provider, deps.callers, () => ({
      fallbackId: `chatcmpl-${randomUUID()}`,
      fallbackCreated: Math.floor(deps.now() / 1000),
    }));
  } catch (error) {
    stream.fail(attemptError(failureOfRequest(error)));
    return stream;
  }
  if ("estimate" in prepared) {
    answerEstimated(prepared, stream);
    return stream;
  }
  const attempt = new Attempt(request, provider, prepared, stream, deps);
  attempt.start();
  return stream;
}

/** One attempt from its first byte to its last. All its methods are callbacks that run in the turn of their event. */
class Attempt implements UpstreamHandler {
  readonly #request: ExecuteRequest;
  readonly #provider: Provider;
  readonly #prepared: PreparedAttempt;
  readonly #stream: AttemptStream;
  readonly #deps: ExecuteAttemptDeps;
  #call: UpstreamCall | undefined;
  readonly #phase = new PhaseTimer();
  #reader: AnswerReader | undefined;
  #status = 0;
  #headers: UpstreamHeaders = {};
  #errorChunks: Uint8Array[] = [];
  #errorBytes = 0;
  #headSent = false;
  /** What came before the head could be sent, such as a chunk that only names a role. */
  #early: Uint8Array[] = [];
  #over = false;

  constructor(
    request: ExecuteRequest,
    provider: Provider,
    prepared: PreparedAttempt,
    stream: AttemptStream,
    deps: ExecuteAttemptDeps,
  ) {
    this.#request = request;
    this.#provider = provider;
    this.#prepared = prepared;
    this.#stream = stream;
    this.#deps = deps;
  }

  start(): void {
    this.#phase.begin(millisecondsOf(this.#request.connectTimeout, defaultConnectMs), () =>
      this.#fail({
        errorClass: ProviderErrorClass.UNREACHABLE,
        message: "The provider could not be connected to in time.",
        mayHaveBilled: false,
      }),
    );
    this.#stream.attach({
      abort: () => this.#leave(),
      pause: () => this.#call?.pause(),
      resume: () => this.#call?.resume(),
    });
    const { authorize } = this.#provider;
    if (authorize === undefined) {
      this.#send(this.#prepared.request);
      return;
    }
    authorize(this.#prepared.request).then(
      (request) => {
        if (!this.#over) {
          this.#send(request);
        }
      },
      (error: unknown) => this.#fail(failureOfAuthorization(error, this.#provider.secrets)),
    );
  }

  #send(request: UpstreamRequest): void {
    this.#call = this.#provider.upstream.send(request, this);
    if (this.#over) {
      this.#call.abort();
    }
  }

  onSent(): void {
    this.#phase.begin(millisecondsOf(this.#request.firstTokenTimeout, defaultFirstTokenMs), () =>
      this.#timedOut("The provider did not begin to answer in time."),
    );
  }

  onHead(status: number, headers: UpstreamHeaders): void {
    this.#status = status;
    this.#headers = headers;
    if (status < 200 || status >= 300) {
      return;
    }
    const contentType = String(headers["content-type"] ?? "").toLowerCase();
    this.#reader = this.#prepared.createReader(contentType);
    if (this.#reader === undefined) {
      this.#fail({
        errorClass: ProviderErrorClass.MALFORMED,
        message: "The provider answered with something that is not a model's answer.",
        mayHaveBilled: true,
        status,
      });
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.#over) {
      return;
    }
    const reader = this.#reader;
    if (reader === undefined) {
      this.#keepErrorBody(chunk);
      return;
    }
    let bytes: Uint8Array;
    try {
      bytes = reader.push(chunk);
    } catch (error) {
      this.#failReading(error);
      return;
    }
    if (bytes.length > 0) {
      this.#emit(bytes, reader.contentSeen);
    } else if (reader.contentSeen) {
      this.#emitHead();
    }
    // A provider that trickles the bytes of one event pauses all the same.
    if (this.#headSent && !reader.over && bytes.length > 0) {
      this.#phase.extend();
    }
    if (reader.over) {
      this.#complete(reader);
    } else {
      this.#stream.flush();
    }
  }

  onEnd(): void {
    if (this.#over) {
      return;
    }
    if (this.#reader === undefined) {
      this.#failWithStatus();
    } else {
      this.#complete(this.#reader);
    }
  }

  onError(error: Error, sent: boolean): void {
    if (this.#over) {
      return;
    }
    if (this.#reader === undefined && this.#status !== 0) {
      this.#failWithStatus();
      return;
    }
    this.#fail({
      errorClass: !sent
        ? ProviderErrorClass.UNREACHABLE
        : this.#headSent
          ? ProviderErrorClass.TRUNCATED
          : ProviderErrorClass.DISCONNECTED,
      message: sent ? "The connection to the provider broke." : "The provider could not be connected to.",
      mayHaveBilled: sent,
      status: this.#status,
      usage: this.#reader?.usageSoFar,
      cause: error,
    });
  }

  #emit(bytes: Uint8Array, contentSeen: boolean): void {
    if (this.#headSent) {
      this.#push(bytes);
    } else if (contentSeen) {
      this.#emitHead();
      this.#push(bytes);
    } else {
      this.#early.push(bytes);
    }
  }

  #emitHead(): void {
    if (this.#headSent) {
      return;
    }
    this.#headSent = true;
    this.#phase.begin(millisecondsOf(this.#request.idleTimeout, defaultIdleMs), () =>
      this.#timedOut("The provider stopped in the middle of its answer."),
    );
    this.#stream.push({
      $typeName: "penstock.connector.v1.ConnectorEvent",
      event: {
        case: "head",
        value: {
          $typeName: "penstock.connector.v1.ConnectorHead",
          contentType: this.#reader?.contentType ?? "",
          providerRequestId: requestIdOf(this.#headers),
          droppedParams: [...this.#prepared.dropped],
          estimated: false,
        },
      },
    });
    for (const bytes of this.#early) {
      this.#push(bytes);
    }
    this.#early = [];
  }

  #push(bytes: Uint8Array): void {
    this.#stream.push({ $typeName: "penstock.connector.v1.ConnectorEvent", event: { case: "body", value: bytes } });
  }

  #complete(reader: AnswerReader): void {
    let last: ReturnType<AnswerReader["finish"]>;
    try {
      last = reader.finish();
    } catch (error) {
      this.#failReading(error);
      return;
    }
    if (last === undefined) {
      this.#fail({
        errorClass: ProviderErrorClass.TRUNCATED,
        message: "The provider's answer ended before it was complete.",
        mayHaveBilled: true,
        status: this.#status,
        usage: reader.usageSoFar,
      });
      return;
    }
    this.#emitHead();
    if (last.bytes.length > 0) {
      this.#push(last.bytes);
    }
    this.#stream.push({
      $typeName: "penstock.connector.v1.ConnectorEvent",
      event: {
        case: "end",
        value: {
          $typeName: "penstock.connector.v1.ConnectorEnd",
          finishReason: last.end.finishReason,
          complete: last.end.complete,
          ...(last.end.usage === undefined ? {} : { usage: last.end.usage }),
        },
      },
    });
    this.#finish();
    this.#stream.end();
  }

  #failReading(error: unknown): void {
    const reader = this.#reader;
    if (error instanceof ProviderStreamError) {
      // Reported inside an answer whose status said that all was well.
      const decoded = this.#decode(error.body);
      this.#fail({
        ...failureOfStatus(statusOfDecoded(decoded), this.#headers, decoded, this.#deps.now()),
        mayHaveBilled: this.#headSent,
        usage: reader?.usageSoFar,
      });
      return;
    }
    this.#fail({
      errorClass: ProviderErrorClass.MALFORMED,
      message: "The provider's answer could not be understood.",
      mayHaveBilled: true,
      status: this.#status,
      usage: reader?.usageSoFar,
      cause: error,
    });
  }

  #failWithStatus(): void {
    this.#fail(
      failureOfStatus(this.#status, this.#headers, this.#decode(parseErrorBody(this.#errorChunks)), this.#deps.now()),
    );
  }

  #decode(body: Json | undefined): DecodedError {
    const decoded = withErrorType(this.#prepared.kind.chat.decodeError(body), this.#headers);
    const mask = (text: string): string => maskSecrets(text, this.#provider.secrets);
    return {
      ...decoded,
      message: mask(decoded.message),
      type: mask(decoded.type),
      code: mask(decoded.code),
      param: mask(decoded.param),
    };
  }

  #keepErrorBody(chunk: Uint8Array): void {
    this.#errorBytes += chunk.length;
    if (this.#errorBytes <= maxErrorBytes) {
      this.#errorChunks.push(chunk);
      return;
    }
    this.#failWithStatus();
  }

  #timedOut(message: string): void {
    this.#fail({
      errorClass: ProviderErrorClass.TIMEOUT,
      message,
      mayHaveBilled: true,
      status: this.#status,
      usage: this.#reader?.usageSoFar,
    });
  }

  #fail(failure: AttemptFailure): void {
    if (this.#over) {
      return;
    }
    this.#finish();
    this.#call?.abort();
    this.#stream.fail(attemptError({ providerRequestId: requestIdOf(this.#headers), ...failure }));
  }

  #leave(): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#phase.stop();
    this.#call?.abort();
  }

  /** Nothing more is wanted; a provider that goes on after its final marker is cut soon, so that it keeps no socket. */
  #finish(): void {
    this.#over = true;
    this.#phase.stop();
    if (this.#reader?.over === true) {
      const call = this.#call;
      setTimeout(() => call?.abort(), afterEndMs).unref();
    }
  }
}

function millisecondsOf(duration: Duration | undefined, otherwise: number): number {
  return duration === undefined ? otherwise : durationMs(duration);
}
