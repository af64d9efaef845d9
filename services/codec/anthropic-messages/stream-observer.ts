import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { countDeltaTokens } from "../chat/count-delta-tokens.ts";
import { CodecError, type JsonObject, ProviderStreamError, type StreamObserver } from "../codec.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage, mergeUsage } from "./map-usage.ts";
import { type DataLine, nextDataLine } from "../sse/next-data-line.ts";

// One pass of one pattern over Latin-1 text is several times cheaper than a search of the bytes for each marker. The
// quotes are part of the markers: in a text they would be escaped, so most texts cannot match.
const MARKERS = /"(?:content_block_delta"|message_|error")/g;
const EARLY_CALL = /"(?:tool_use|redacted_thinking)"/;
const MESSAGE_MARKER = Buffer.from('"message_');
const ERROR_MARKER = Buffer.from('"error"');
/** The last letter of the marker of a delta, before its quote. */
const LETTER_A = 0x61;

const DELTA_OVERHEAD_BYTES = 130;

/** Observes Anthropic's stream: parses what begins and ends the message and errors, and looks at bytes otherwise. */
export function createStreamObserver(): StreamObserver {
  const cutter = createSseBorderCutter();
  let usage: JsonObject | undefined;
  let decodedUsage: Usage | undefined;
  let finishReason: FinishReason = FinishReason.UNSPECIFIED;
  let contentSeen = false;
  let complete = false;
  let deltas = 0;
  let deltaBytes = 0;

  function takeUsage(later: JsonObject["usage"]): void {
    const merged = mergeUsage(usage, later);
    if (merged !== usage) {
      usage = merged;
      decodedUsage = undefined;
    }
  }

  function read(message: JsonObject): void {
    switch (message["type"]) {
      case "message_start":
        takeUsage(isJsonObject(message["message"]) ? message["message"]["usage"] : undefined);
        break;
      case "message_delta": {
        takeUsage(message["usage"]);
        const stopReason = isJsonObject(message["delta"]) ? stringOrEmpty(message["delta"]["stop_reason"]) : "";
        if (stopReason !== "") {
          finishReason = mapStopReason(stopReason);
          contentSeen = true;
        }
        break;
      }
      case "message_stop":
        complete = finishReason !== FinishReason.UNSPECIFIED;
        break;
      case "error":
        throw new ProviderStreamError(message);
      case undefined:
        if ((message["error"] ?? undefined) !== undefined) {
          throw new ProviderStreamError(message);
        }
        break;
      default:
        break;
    }
  }

  function readLines(whole: Buffer, marker: Buffer): void {
    let line: DataLine | undefined = nextDataLine(whole, marker, 0);
    while (line !== undefined) {
      const message = parseJson(line.json, "the stream");
      if (!isJsonObject(message)) {
        throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
      }
      read(message);
      line = nextDataLine(whole, marker, line.end);
    }
  }

  /** Counts deltas, and reads the events that begin or end the message or report an error. */
  function look(whole: Buffer): void {
    const text = whole.toString("latin1");
    const before = deltas;
    let isNotable = false;
    MARKERS.lastIndex = 0;
    while (MARKERS.test(text)) {
      if (text.charCodeAt(MARKERS.lastIndex - 2) === LETTER_A) {
        deltas += 1;
      } else {
        isNotable = true;
      }
    }
    if (isNotable) {
      readLines(whole, MESSAGE_MARKER);
      readLines(whole, ERROR_MARKER);
    }
    if (deltas > before) {
      deltaBytes += whole.length;
    }
    contentSeen ||= deltas > 0 || EARLY_CALL.test(text);
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      if (whole.length > 0) {
        look(whole);
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
      decodedUsage ??= decodeUsage(usage);
      return decodedUsage;
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
