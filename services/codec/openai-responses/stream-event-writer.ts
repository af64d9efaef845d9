import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";
import { writeSseEvent } from "../sse/write-sse.ts";
import type { WrittenEnd } from "./map-finish-reason.ts";
import { type ResponseHead, writeItemId, writeResponse } from "./output-items.ts";

const MAX_OUTPUT_LENGTH = 64 * 1024 * 1024;
const MAX_ITEMS = 4096;

/** An item of the output that has begun. */
export interface OpenItem {
  readonly id: string;
  readonly outputIndex: number;
}

/** Writes the events of one response's stream, numbered, and keeps the items, which the last event repeats. */
export class StreamEventWriter {
  readonly #output: Json[] = [];
  #head: ResponseHead;
  #out = "";
  #sequence = 0;
  #length = 0;
  #started = false;

  /** `fallback` is the head of a response that does not begin with a head of its own. */
  constructor(fallback: ResponseHead) {
    this.#head = fallback;
  }

  /** Returns what was written since the last call, and forgets it. */
  take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }

  /** Writes what begins a response, once. */
  start(head: ResponseHead = this.#head): void {
    if (this.#started) {
      return;
    }
    this.#started = true;
    this.#head = head;
    const response = writeResponse(this.#head, undefined, [], undefined);
    this.write("response.created", { response });
    this.write("response.in_progress", { response });
  }

  /** Writes an event. */
  write(type: string, fields: JsonObject): void {
    this.#out += writeSseEvent(type, JSON.stringify({ type, sequence_number: this.#sequence++, ...fields }));
  }

  /**
   * Writes a delta, the event that a stream consists of, without building an object. `place` are the fields that say
   * where in the item it goes, each with its comma after it; `tail` are more fields, each with its comma before it.
   * Throws as `grow`.
   */
  writeDelta(type: string, item: OpenItem, place: string, delta: string, tail = ""): void {
    this.grow(delta.length);
    const head = `{"type":"${type}","sequence_number":${this.#sequence++},"item_id":"${item.id}"`;
    const body = `,"output_index":${item.outputIndex},${place}"delta":${JSON.stringify(delta)}${tail}}`;
    this.#out += writeSseEvent(type, head + body);
  }

  /** Counts characters that are kept. Throws CodecError (`frame_too_large`) when there are too many. */
  grow(length: number): void {
    this.#length += length;
    if (this.#length > MAX_OUTPUT_LENGTH) {
      throw new CodecError(`the answer is longer than ${MAX_OUTPUT_LENGTH} characters`, { code: "frame_too_large" });
    }
  }

  /** Begins an item at the end of the output; `write` makes it from its id. Throws CodecError for too many items. */
  openItem(kind: "msg" | "rs" | "fc" | "ctc", write: (id: string) => JsonObject): OpenItem {
    this.start();
    const outputIndex = this.#output.length;
    if (outputIndex >= MAX_ITEMS) {
      throw new CodecError(`the answer has more than ${MAX_ITEMS} items`, { code: "array_above_max_length" });
    }
    const id = writeItemId(kind, this.#head.id, outputIndex);
    this.#output.push(null);
    this.write("response.output_item.added", { output_index: outputIndex, item: write(id) });
    return { id, outputIndex };
  }

  /** Ends an item, whose whole is `written`. */
  closeItem(item: OpenItem, written: JsonObject): void {
    this.#output[item.outputIndex] = written;
    this.write("response.output_item.done", { output_index: item.outputIndex, item: written });
  }

  /** Writes what ends a response. All its items must be closed. */
  end(end: WrittenEnd, usage: Usage | undefined): void {
    this.start();
    this.write(`response.${end.status}`, { response: writeResponse(this.#head, end, this.#output, usage) });
  }
}
