import type { ConnectorEvent, ExecuteResponse } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { prompt, type PromptIterator } from "#kit/mesh/prompt-stream.ts";

/** From this many bytes that nobody has taken yet on, the provider is asked to wait. */
const highWaterBytes = 256 * 1024;

/** The most bytes of body in one message: a whole answer with pictures is more than one may have between services. */
const mostMessageBytes = 8 * 1024 * 1024;

/** What the stream does to where its events come from. */
export interface AttemptSource {
  /** The reader has left or nothing more is wanted. */
  abort(): void;
  pause(): void;
  resume(): void;
}

/**
 * The events of one attempt, from the callbacks that push them to the reader that pulls them. What was pushed since the
 * last pull comes as one message, so a burst of the provider costs its reader one turn.
 */
export class AttemptStream implements AsyncIterable<ExecuteResponse>, PromptIterator<ExecuteResponse> {
  readonly [prompt] = true;
  #events: ConnectorEvent[] = [];
  #bytes = 0;
  #paused = false;
  #over = false;
  #error: Error | undefined;
  #source: AttemptSource | undefined;
  #wake: { resolve(result: IteratorResult<ExecuteResponse>): void; reject(error: Error): void } | undefined;

  [Symbol.asyncIterator](): AsyncIterator<ExecuteResponse> {
    return this;
  }

  /** Names what is aborted when the reader leaves. Aborts it at once when the reader has left already. */
  attach(source: AttemptSource): void {
    if (this.#over) {
      source.abort();
      return;
    }
    this.#source = source;
  }

  push(event: ConnectorEvent): void {
    if (this.#over) {
      return;
    }
    if (event.event.case === "body" && event.event.value.length > mostMessageBytes) {
      this.#pushPieces(event.event.value);
      return;
    }
    this.#events.push(event);
    if (event.event.case === "body") {
      this.#bytes += event.event.value.length;
      if (this.#bytes >= highWaterBytes && !this.#paused && this.#wake === undefined) {
        this.#paused = true;
        this.#source?.pause();
      }
    }
  }

  /** Hands what was pushed to a waiting reader. Called once after the pushes of one callback. */
  flush(): void {
    const wake = this.#wake;
    if (wake !== undefined && this.#events.length > 0) {
      this.#wake = undefined;
      wake.resolve({ done: false, value: this.#take() });
    }
  }

  /** Ends the stream after what was pushed. */
  end(): void {
    this.#finish(undefined);
  }

  /** Ends the stream with an error, after what was pushed. */
  fail(error: Error): void {
    this.#finish(error);
  }

  get over(): boolean {
    return this.#over;
  }

  next(): Promise<IteratorResult<ExecuteResponse>> {
    if (this.#events.length > 0) {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    if (this.#over) {
      const error = this.#error;
      this.#error = undefined;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#wake = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<ExecuteResponse>> {
    if (!this.#over) {
      this.#over = true;
      this.#events = [];
      this.#source?.abort();
      this.#wake?.resolve({ done: true, value: undefined });
      this.#wake = undefined;
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  #finish(error: Error | undefined): void {
    if (this.#over) {
      return;
    }
    this.flush();
    this.#over = true;
    this.#error = error;
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake === undefined) {
      return;
    }
    this.#error = undefined;
    if (error === undefined) {
      wake.resolve({ done: true, value: undefined });
    } else {
      wake.reject(error);
    }
  }

  #pushPieces(body: Uint8Array): void {
    for (let at = 0; at < body.length; at += mostMessageBytes) {
      const value = body.subarray(at, at + mostMessageBytes);
      this.push({ $typeName: "penstock.connector.v1.ConnectorEvent", event: { case: "body", value } });
    }
  }

  #take(): ExecuteResponse {
    if (this.#bytes > mostMessageBytes) {
      return this.#takeSome();
    }
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#source?.resume();
    }
    return { $typeName: "penstock.connector.v1.ExecuteResponse", events };
  }

  /** As many events as one message may have; the others stay for the next. */
  #takeSome(): ExecuteResponse {
    let bytes = 0;
    let count = 0;
    for (const { event } of this.#events) {
      const size = event.case === "body" ? event.value.length : 0;
      if (count > 0 && bytes + size > mostMessageBytes) {
        break;
      }
      bytes += size;
      count += 1;
    }
    this.#bytes -= bytes;
    return { $typeName: "penstock.connector.v1.ExecuteResponse", events: this.#events.splice(0, count) };
  }
}
