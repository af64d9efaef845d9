import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { ProviderStreamError, type StreamObserver } from "../codec.ts";
import { asObject, asString } from "../json/json-values.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { splitSseEvents } from "../sse/split-sse-events.ts";
import { findEmbeddedError } from "./decode-error.ts";
import { readResponseEnd } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { parseStreamEvent } from "./parse-stream-event.ts";

/** Creates an observer for one stream of a response, which always reports usage. */
export function createStreamObserver(): StreamObserver {
  return new ResponsesStreamObserver();
}

// Inside the text of an answer quotes are escaped, so the type of an event is found only where it is one, or in a tool's
// schema that the response repeats. One expression over latin1 text costs less than searching the buffer for each.
const MARKERS =
  /"response\.(?:[a-z_]+\.(delta)|[a-z_]+\.(?:done)|(completed|incomplete|failed))"|"(error)"\s*[,}]|^(?:event: ?(error|response\.(?:completed|incomplete|failed))|data: ?\{\s*"(error)")/gm;

// The bytes of a delta beside its text. Text beyond this many bytes for each delta is several tokens.
const DELTA_OVERHEAD_BYTES = 230;
const MANY_TOKENS_BYTES = 64;
const BYTES_PER_TOKEN = 4;

class ResponsesStreamObserver implements StreamObserver {
  readonly #cutter = createSseBorderCutter();
  #deltas = 0;
  #deltaBytes = 0;
  contentSeen = false;
  complete = false;
  usage: Usage | undefined;
  finishReason: FinishReason = FinishReason.UNSPECIFIED;

  get pendingBytes(): number {
    return this.#cutter.pendingBytes;
  }

  get countedOutputTokens(): number {
    if (!this.contentSeen) {
      return 0;
    }
    const payload = this.#deltaBytes - this.#deltas * DELTA_OVERHEAD_BYTES;
    const isBulky = payload > this.#deltas * MANY_TOKENS_BYTES;
    return Math.max(1, isBulky ? Math.ceil(payload / BYTES_PER_TOKEN) : this.#deltas);
  }

  push(bytes: Uint8Array): Uint8Array {
    const whole = this.#cutter.push(bytes);
    if (whole.length > 0 && !this.complete) {
      this.#look(whole);
    }
    return whole;
  }

  /** Counts deltas, and parses the events that end the response. */
  #look(whole: Buffer): void {
    const text = whole.toString("latin1");
    let deltas = 0;
    let others = 0;
    let isNotable = false;
    MARKERS.lastIndex = 0;
    for (let match = MARKERS.exec(text); match !== null; match = MARKERS.exec(text)) {
      if (match[1] !== undefined) {
        deltas++;
      } else if (match[2] === undefined && match[3] === undefined && match[4] === undefined && match[5] === undefined) {
        others++;
      } else {
        isNotable = true;
      }
    }
    this.contentSeen ||= deltas + others > 0;
    this.#deltas += deltas;
    // Events that repeat the whole would count it again.
    this.#deltaBytes += others > 0 || isNotable ? deltas * DELTA_OVERHEAD_BYTES : deltas > 0 ? whole.length : 0;
    if (isNotable) {
      for (const event of splitSseEvents(whole)) {
        this.#read(event);
      }
    }
  }

  #read(event: Buffer): void {
    MARKERS.lastIndex = 0;
    if (this.complete || !MARKERS.test(event.toString("latin1"))) {
      return;
    }
    for (const message of createSseDecoder().push(event)) {
      const parsed = parseStreamEvent(message);
      if (parsed?.type !== "response.completed" && parsed?.type !== "response.incomplete") {
        continue;
      }
      const response = asObject(parsed.body["response"]) ?? {};
      const error = findEmbeddedError(response);
      if (error !== undefined) {
        throw new ProviderStreamError(error);
      }
      const status = asString(response["status"]) || parsed.type.slice("response.".length);
      this.usage = mapUsage(response["usage"]);
      this.finishReason = readResponseEnd({ ...response, status }).finishReason;
      this.contentSeen = true;
      this.complete = true;
    }
  }
}
