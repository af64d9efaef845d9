import { Buffer } from "node:buffer";
import type { Upstream, UpstreamCall, UpstreamHandler, UpstreamRequest } from "../../upstream/upstream.ts";
import { parseEchoModel } from "./parse-echo-model.ts";
import { echoAnswer, echoEmbeddings, echoStreamChunks, type EchoRequest } from "./write-echo-answer.ts";

/**
 * A provider inside the process, in OpenAI's dialect: it repeats the last message, the same each time and without a
 * network, so that a first request works anywhere. The model's name makes it slow, fail or break, so that retries and
 * failover can be seen.
 */
export function createEchoUpstream(): Upstream {
  const running = new Set<EchoCall>();
  return {
    send(request, handler) {
      const call = new EchoCall(handler, () => running.delete(call));
      running.add(call);
      setImmediate(() => call.run(request));
      return call;
    },
    async close() {
      for (const call of running) {
        call.breakOff();
      }
    },
  };
}

class EchoCall implements UpstreamCall {
  readonly #handler: UpstreamHandler;
  readonly #onOver: () => void;
  #over = false;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;
  #chunks: readonly string[] = [];
  #next = 0;
  #delayMs = 0;
  #cutAfter = Number.POSITIVE_INFINITY;

  constructor(handler: UpstreamHandler, onOver: () => void) {
    this.#handler = handler;
    this.#onOver = onOver;
  }

  run(request: UpstreamRequest): void {
    if (this.#over) {
      return;
    }
    this.#handler.onSent();
    // The connector built this body, in OpenAI's dialect.
    const body = JSON.parse(Buffer.from(request.body).toString("utf8")) as EchoRequest;
    const behaviour = parseEchoModel(body.model);
    if (behaviour === undefined) {
      this.#answer(404, errorBody(`The echo provider has no model ${JSON.stringify(body.model)}.`, "model_not_found"));
      return;
    }
    switch (behaviour.kind) {
      case "fail":
        this.#answer(behaviour.status, errorBody(`The echo provider fails with ${behaviour.status}.`, "echo_failure"));
        return;
      case "stall":
        return;
      case "cut":
        this.#cutAfter = behaviour.afterWords;
        break;
      case "answer":
        this.#delayMs = behaviour.delayMs;
        break;
    }
    if (request.path.endsWith("/embeddings")) {
      this.#answer(200, echoEmbeddings(body));
    } else if (body.stream === true) {
      this.#handler.onHead(200, { "content-type": "text/event-stream" });
      this.#chunks = echoStreamChunks(body);
      this.#step();
    } else if (this.#cutAfter !== Number.POSITIVE_INFINITY) {
      this.#handler.onHead(200, { "content-type": "application/json" });
      this.#handler.onData(Buffer.from(echoAnswer(body).slice(0, 40)));
      this.breakOff();
    } else {
      this.#after(this.#delayMs, () => this.#answer(200, echoAnswer(body)));
    }
  }

  abort(): void {
    this.#finish();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#after(0, () => this.#step());
    }
  }

  /** Ends as a connection that breaks. */
  breakOff(): void {
    if (this.#finish()) {
      this.#handler.onError(new Error("the echo provider closed the connection"), true);
    }
  }

  #step(): void {
    if (this.#over || this.#paused) {
      return;
    }
    // The first chunk names the role; the words follow it.
    if (this.#next > this.#cutAfter) {
      this.breakOff();
      return;
    }
    if (this.#delayMs === 0 && this.#cutAfter === Number.POSITIVE_INFINITY) {
      this.#handler.onData(Buffer.from(this.#chunks.slice(this.#next).join("")));
      this.#next = this.#chunks.length;
    } else {
      this.#handler.onData(Buffer.from(this.#chunks[this.#next] ?? ""));
      this.#next += 1;
    }
    if (this.#next < this.#chunks.length) {
      this.#after(this.#delayMs, () => this.#step());
    } else if (this.#finish()) {
      this.#handler.onEnd();
    }
  }

  #answer(status: number, body: string): void {
    this.#handler.onHead(status, { "content-type": "application/json" });
    this.#handler.onData(Buffer.from(body));
    if (this.#finish()) {
      this.#handler.onEnd();
    }
  }

  #after(delayMs: number, next: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(next, delayMs);
  }

  #finish(): boolean {
    if (this.#over) {
      return false;
    }
    this.#over = true;
    clearTimeout(this.#timer);
    this.#onOver();
    return true;
  }
}

function errorBody(message: string, code: string): string {
  return JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } });
}
