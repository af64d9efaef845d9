import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { countDeltaTokens } from "../chat/count-delta-tokens.ts";
import { type JsonObject, ProviderStreamError, type StreamObserver } from "../codec.ts";
import { isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { createSseDecoder } from "../sse/sse-decoder.ts";
import { splitSseEvents } from "../sse/split-sse-events.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { FINAL_MARKER, parseStreamEvent } from "./parse-stream-event.ts";

// The types of events with content that say nothing of the end. Their quotes would be escaped inside a text.
const CONTENT = /"(?:content-delta|tool-plan-delta|tool-call-(?:start|delta))"/;

const DELTA_OVERHEAD_BYTES = 125;

/** Observes Cohere's stream: parses what begins and ends the answer, and looks at the bytes of the rest. */
export function createStreamObserver(): StreamObserver {
  const cutter = createSseBorderCutter();
  const sse = createSseDecoder();
  let usage: Usage | undefined;
  let finishReason: FinishReason = FinishReason.UNSPECIFIED;
  let contentSeen = false;
  let complete = false;
  let deltas = 0;
  let deltaBytes = 0;

  function look(event: Buffer): void {
    if (CONTENT.test(event.toString("latin1"))) {
      contentSeen = true;
      deltas += 1;
      deltaBytes += event.length;
      return;
    }
    for (const { data } of sse.push(event)) {
      if (data.trim() === FINAL_MARKER) {
        complete = finishReason !== FinishReason.UNSPECIFIED;
      } else {
        read(data);
      }
    }
  }

  function read(data: string): void {
    try {
      const event = parseStreamEvent(data);
      if (event["type"] === "message-end") {
        readEnd(asObject(event["delta"]) ?? {});
      }
    } catch (error) {
      if (error instanceof ProviderStreamError && isJsonObject(error.body)) {
        // What a failed generation used is reported with the failure.
        usage = decodeUsage(asObject(error.body["delta"])?.["usage"]) ?? usage;
      }
      throw error;
    }
  }

  function readEnd(delta: JsonObject): void {
    const reason = mapFinishReason(stringOrEmpty(delta["finish_reason"]));
    if (reason !== FinishReason.UNSPECIFIED && finishReason === FinishReason.UNSPECIFIED) {
      finishReason = reason;
      contentSeen = true;
      usage = decodeUsage(delta["usage"]);
    }
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      if (whole.length > 0) {
        for (const event of splitSseEvents(whole)) {
          look(event);
        }
      }
      return whole;
    },
    get contentSeen() {
      return contentSeen;
    },
    get complete() {
      return complete;
    },
    get usage() {
      return usage;
    },
    get finishReason() {
      return finishReason;
    },
    get pendingBytes() {
      return cutter.pendingBytes;
    },
    get countedOutputTokens() {
      return countDeltaTokens({ deltas, deltaBytes, overheadBytes: DELTA_OVERHEAD_BYTES, contentSeen });
    },
  };
}
