import type { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type Json, ProviderStreamError, type StreamObserver } from "../codec.ts";
import { asObject, asString } from "../json/json-values.ts";
import { splitSseEvents } from "../sse/split-sse-events.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import { readOperationUsage } from "./read-operation-usage.ts";

// In the text of an event quotes are escaped, so what is found here is a member. Events with pictures and sounds are long
// and have none of it.
const MARKERS = /\[DONE\]|"usage"\s*:\s*\{|"error"|"type"\s*:\s*"[a-z_.]*(?:done|completed|failed)"/;
const BYTES_PER_MARKER_SEARCH = 4_096;
/** About what a picture that is not finished, or a second of sound, comes to. */
const TOKENS_PER_EVENT = 50;

/**
 * Observes the events of pictures, speech and transcripts, which end with an event whose type says so. Other than in a
 * conversation, more may follow that event.
 */
export function createOperationStreamObserver(operation: Operation): StreamObserver {
  const cutter = createSseBorderCutter();
  const sse = createSseDecoder();
  let events = 0;
  let complete = false;
  let usage: Usage | undefined;

  function look(message: SseEvent): void {
    if (message.data.trim() === "[DONE]") {
      complete = true;
      return;
    }
    const event = asObject(parse(message));
    if (event === undefined) {
      throw new CodecError("the stream holds an event that is not an object", { code: "invalid_type" });
    }
    const type = asString(event["type"]);
    if (message.event === "error" || type === "error" || asObject(event["error"]) !== undefined) {
      throw new ProviderStreamError(event);
    }
    usage = readOperationUsage(event, operation) ?? usage;
    complete ||= /(?:done|completed)$/.test(type);
  }

  function isWorthALook(event: Buffer): boolean {
    const head = event.toString("latin1", 0, BYTES_PER_MARKER_SEARCH);
    const rest =
      event.length > head.length ? event.toString("latin1", Math.max(head.length, event.length - 8_192)) : "";
    return MARKERS.test(head) || MARKERS.test(rest);
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      for (const event of whole.length === 0 ? [] : splitSseEvents(whole)) {
        const isNamedError = event.toString("latin1", 0, 16).startsWith("event: error");
        events += event.includes("data:") ? 1 : 0;
        if (isNamedError || isWorthALook(event)) {
          sse.push(event).forEach(look);
        }
      }
      return whole;
    },
    get contentSeen() {
      return events > 0;
    },
    get complete() {
      return complete;
    },
    get usage() {
      return usage;
    },
    finishReason: FinishReason.UNSPECIFIED,
    get pendingBytes() {
      return cutter.pendingBytes;
    },
    get countedOutputTokens() {
      return events * TOKENS_PER_EVENT;
    },
  };
}

function parse(message: SseEvent): Json {
  try {
    // JSON.parse makes nothing but JSON values.
    return JSON.parse(message.data) as Json;
  } catch (cause) {
    if (message.event === "error") {
      throw new ProviderStreamError(message.data);
    }
    throw new CodecError("the stream holds an event that is not JSON", { code: "invalid_json", cause });
  }
}
