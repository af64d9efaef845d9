import { createParser } from "eventsource-parser";
import { createSseBorderCutter, MAX_SSE_EVENT_BYTES } from "./sse-border-cutter.ts";

/** One server-sent event. */
export interface SseEvent {
  /** The event's name; `message` when the stream gives none, as the standard says. */
  readonly event: string;
  /** The lines of data, joined by line feeds. */
  readonly data: string;
  /** The event's id, where the stream gives one. */
  readonly id?: string;
}

/** Reads server-sent events as the HTML standard says, however the bytes are cut. Holds the state of one stream. */
export interface SseDecoder {
  /**
   * Takes the next bytes and returns the events that they complete. Bytes that are not UTF-8 become U+FFFD. Throws
   * CodecError (`frame_too_large`) when one event exceeds the cap.
   */
  push(bytes: Uint8Array): SseEvent[];
  /**
   * Says that the bytes have ended. Returns the last event if only its blank line is missing, which some servers leave
   * out; a line that is not whole is dropped.
   */
  end(): SseEvent[];
  /**
   * Whether the bytes ended within an event, and not merely without the end of its line: the stream was cut, whatever
   * came before. False before `end`.
   */
  readonly isCut: boolean;
  /** How many bytes belong to an event that is not whole yet. */
  readonly pendingBytes: number;
}

/** Creates a decoder for one stream. `maxEventBytes` bounds what it holds back. */
export function createSseDecoder(maxEventBytes: number = MAX_SSE_EVENT_BYTES): SseDecoder {
  // Whole events end in an ASCII byte, so their text can be decoded at once: no UTF-8 sequence crosses a border.
  const cutter = createSseBorderCutter(maxEventBytes);
  let events: SseEvent[] = [];
  let isCut = false;
  const parser = createParser({
    onEvent(message) {
      const { event = "message", data, id } = message;
      events.push(id === undefined ? { event, data } : { event, data, id });
    },
  });

  function parse(text: string): SseEvent[] {
    events = [];
    parser.feed(text);
    return events;
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      return whole.length === 0 ? [] : parse(whole.toString("utf8"));
    },
    end() {
      const rest = cutter.takeRest().toString("utf8");
      const lastLineEnd = Math.max(rest.lastIndexOf("\n"), rest.lastIndexOf("\r"));
      const lastLine = rest.slice(lastLineEnd + 1);
      isCut = lastLine !== "" && !looksWhole(lastLine);
      // Two line feeds, because the parser takes the first for the second half of a line end when `rest` ends in CR.
      return lastLineEnd < 0 ? [] : parse(`${rest.slice(0, lastLineEnd + 1)}\n\n`);
    },
    get isCut() {
      return isCut;
    },
    get pendingBytes() {
      return cutter.pendingBytes;
    },
  };
}

/** Whether a line without an end is all of an event: no part of a JSON object is one itself. */
function looksWhole(line: string): boolean {
  const data = /^data: ?(.*)$/.exec(line)?.[1] ?? "";
  if (!data.startsWith("{")) {
    return data === "[DONE]";
  }
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}
