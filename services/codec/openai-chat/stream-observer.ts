import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { JsonObject, StreamObserver } from "../codec.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { splitSseEvents } from "../sse/split-sse-events.ts";
import { readUsage } from "./decode-response.ts";
import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { parseChunk } from "./stream-decoder.ts";

/** How the choices of a stream hold what is new: OpenAI's older completions have a text in place of a delta. */
export type ChoiceForm = "delta" | "text";

/** Creates an observer for one stream of chunks, those of chat completions unless told otherwise. */
export function createStreamObserver(
  options: { readonly stripUsage: boolean },
  form: ChoiceForm = "delta",
): StreamObserver {
  return new OpenAiStreamObserver(options.stripUsage, form);
}

// The final marker, an error, a finish, or usage: most chunks have the last two as members with null. Inside the text
// of an answer quotes are escaped, so a member found here is one. One expression over latin1 text costs a third of
// searching the buffer for each marker.
const MARKERS = /\[DONE\]|error|"finish_reason"\s*:\s*"|"usage"\s*:\s*\{/g;
const FORM_MARKERS = { delta: Buffer.from('"delta"'), text: Buffer.from('"text"') } as const;
const NOTHING = Buffer.alloc(0);

// A final marker whose blank line is missing, as the rest of a stream.
const LAST_MARKER = /^data: ?\[DONE\]\s*$/;
const MAX_LAST_MARKER_BYTES = 16;

// Chunks with more text than this hold several tokens, and their bytes count them better than their number does.
const MANY_TOKENS_BYTES = 64;
const BYTES_PER_TOKEN = 4;

class OpenAiStreamObserver implements StreamObserver {
  readonly #stripUsage: boolean;
  readonly #form: ChoiceForm;
  readonly #formMarker: Buffer;
  readonly #cutter = createSseBorderCutter();
  readonly #sse = createSseDecoder();
  #chunks = 0;
  #bytes = 0;
  /** The bytes of the first chunk with content; 0 before it. */
  #chunkBytes = 0;
  /** The bytes of a chunk that are not its delta, measured on the first one with content. */
  #overheadBytes = 0;
  contentSeen = false;
  complete = false;
  usage: Usage | undefined;
  finishReason: FinishReason = FinishReason.UNSPECIFIED;

  constructor(stripUsage: boolean, form: ChoiceForm) {
    this.#stripUsage = stripUsage;
    this.#form = form;
    this.#formMarker = FORM_MARKERS[form];
  }

  get pendingBytes(): number {
    return this.#cutter.pendingBytes;
  }

  get countedOutputTokens(): number {
    if (!this.contentSeen) {
      return 0;
    }
    const payload = this.#bytes - this.#chunks * this.#overheadBytes;
    const isBulky = payload > this.#chunks * MANY_TOKENS_BYTES;
    return Math.max(1, isBulky ? Math.ceil(payload / BYTES_PER_TOKEN) : this.#chunks);
  }

  push(bytes: Uint8Array): Uint8Array {
    if (this.complete) {
      return bytes;
    }
    const whole = this.#cutter.push(bytes);
    const forward = whole.length === 0 ? NOTHING : this.#observe(whole);
    const pending = this.#cutter.pendingBytes;
    if (pending > 0 && (this.complete || (pending <= MAX_LAST_MARKER_BYTES && this.#restIsLastMarker()))) {
      this.complete = true;
      return Buffer.concat([forward, this.#cutter.takeRest()]);
    }
    return forward;
  }

  #restIsLastMarker(): boolean {
    return LAST_MARKER.test(this.#cutter.peekRest().toString("latin1"));
  }

  #observe(whole: Buffer): Buffer {
    this.#bytes += whole.length;
    this.#chunks += whole.length < 2 * this.#chunkBytes ? 1 : countOccurrences(whole, this.#formMarker);
    const text = whole.toString("latin1");
    let marker = findMarker(text, 0);
    if (this.contentSeen && marker === text.length) {
      return whole;
    }
    const events = splitSseEvents(whole);
    let end = 0;
    const kept = events.filter((event) => {
      const start = end;
      end += event.length;
      if (this.complete) {
        return true;
      }
      if (marker < start) {
        marker = findMarker(text, start);
      }
      return (this.contentSeen && marker >= end) || this.#look(event);
    });
    return kept.length === events.length ? whole : Buffer.concat(kept);
  }

  /** Parses an event and notes what it says. False when it is not to be forwarded. */
  #look(event: Buffer): boolean {
    for (const message of this.#sse.push(event)) {
      if (message.data.trim() === "[DONE]") {
        this.complete = true;
        return true;
      }
      const chunk = parseChunk(message);
      const usage = readUsage(chunk);
      this.usage = usage ?? this.usage;
      const choices = chunk["choices"];
      for (const choice of asArray(choices)) {
        this.#noteChoice(asObject(choice) ?? {}, event.length);
      }
      if (this.#stripUsage && isJsonArray(choices) && choices.length === 0 && isJsonObject(chunk["usage"])) {
        return false;
      }
    }
    return true;
  }

  #noteChoice(choice: JsonObject, eventBytes: number): void {
    const reason = mapFinishReason(choice["finish_reason"]);
    if (reason !== FinishReason.UNSPECIFIED) {
      this.contentSeen = true;
      // The finish of the first candidate is the one that is told.
      if (this.finishReason === FinishReason.UNSPECIFIED || choice["index"] === 0) {
        this.finishReason = reason;
      }
    }
    const delta = this.#form === "delta" ? asObject(choice["delta"]) : { content: choice["text"] };
    if (delta !== undefined && !this.contentSeen && hasContent(delta)) {
      this.contentSeen = true;
      this.#chunkBytes = eventBytes;
      this.#overheadBytes = Math.max(0, eventBytes - Buffer.byteLength(JSON.stringify(delta)));
    }
  }
}

/** Whether a delta says anything beside the role. */
function hasContent(delta: JsonObject): boolean {
  return Object.entries(delta).some(
    ([key, value]) =>
      key !== "role" &&
      value !== undefined &&
      value !== null &&
      value !== "" &&
      !(isJsonArray(value) && value.length === 0),
  );
}

/** Where the final marker, an error, a finish or usage may be, from a place on; the text's length when nowhere. */
function findMarker(text: string, from: number): number {
  MARKERS.lastIndex = from;
  return MARKERS.exec(text)?.index ?? text.length;
}

function countOccurrences(bytes: Buffer, pattern: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + pattern.length)) {
    count++;
  }
  return count;
}
