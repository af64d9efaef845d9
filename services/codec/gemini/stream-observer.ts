import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../anthropic-messages/json-fields.ts";
import { type DataLine, nextDataLine } from "../anthropic-messages/next-data-line.ts";
import { CodecError, type JsonObject, type StreamObserver } from "../codec.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { checkError, readBlockReason, readCandidates, readParts } from "./decode-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";

// The quotes are part of the markers: in a text they would be escaped, so most texts cannot match.
const FINISH_MARKER = Buffer.from('"finishReason"');
const ERROR_MARKER = Buffer.from('"error"');
const BLOCK_MARKER = Buffer.from('"blockReason"');
const CALL_MARKER = Buffer.from('"functionCall"');
const USAGE_MARKER = Buffer.from('"usageMetadata"');
const DATA_MARKER = Buffer.from("data:");

const EVENT_OVERHEAD_BYTES = 350;
const BYTES_PER_TOKEN = 4;

/** Observes Gemini's stream: parses events that finish, block or fail, and of the others only the last, when asked. */
export function createStreamObserver(): StreamObserver {
  const cutter = createSseBorderCutter();
  let lastUsageLine: DataLine | undefined;
  let usage: Usage | undefined;
  let native = "";
  let blocked = false;
  let callSeen = false;
  let contentSeen = false;
  let events = 0;
  let eventBytes = 0;

  function parse(line: DataLine): JsonObject {
    const chunk = parseJson(line.json, "the stream");
    checkError(chunk);
    if (!isJsonObject(chunk)) {
      throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
    }
    return chunk;
  }

  function read(chunk: JsonObject): void {
    const candidates = readCandidates(chunk);
    for (const candidate of candidates) {
      native = stringOrEmpty(candidate["finishReason"]) || native;
      contentSeen ||= readParts(candidate).some(hasContent);
    }
    blocked ||= readBlockReason(chunk) !== "";
    contentSeen ||= native !== "" || blocked;
  }

  function readLines(whole: Buffer, marker: Buffer): void {
    for (let line = nextDataLine(whole, marker, 0); line !== undefined; line = nextDataLine(whole, marker, line.end)) {
      read(parse(line));
    }
  }

  function keepUsage(whole: Buffer): void {
    const at = whole.lastIndexOf(USAGE_MARKER);
    if (at === -1) {
      return;
    }
    const lineStart = Math.max(whole.lastIndexOf("\n", at), whole.lastIndexOf("\r", at)) + 1;
    const line = nextDataLine(whole, USAGE_MARKER, lineStart);
    if (line !== undefined) {
      lastUsageLine = line;
    }
  }

  function count(whole: Buffer): void {
    for (let at = whole.indexOf(DATA_MARKER); at !== -1; at = whole.indexOf(DATA_MARKER, at + DATA_MARKER.length)) {
      events += 1;
    }
    eventBytes += whole.length;
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      if (whole.length > 0) {
        callSeen ||= whole.includes(CALL_MARKER);
        readLines(whole, contentSeen ? FINISH_MARKER : DATA_MARKER);
        readLines(whole, ERROR_MARKER);
        readLines(whole, BLOCK_MARKER);
        keepUsage(whole);
        count(whole);
      }
      return whole;
    },
    get contentSeen() {
      return contentSeen;
    },
    get complete() {
      return native !== "" || blocked;
    },
    get usage() {
      if (lastUsageLine !== undefined) {
        usage = decodeUsage(parse(lastUsageLine)["usageMetadata"]) ?? usage;
        lastUsageLine = undefined;
      }
      return usage;
    },
    get finishReason() {
      return blocked && native === "" ? FinishReason.CONTENT_FILTER : mapFinishReason(native, callSeen);
    },
    get pendingBytes() {
      return cutter.pendingBytes;
    },
    get countedOutputTokens() {
      const textBytes = eventBytes - events * EVENT_OVERHEAD_BYTES;
      return contentSeen ? Math.max(events, Math.floor(textBytes / BYTES_PER_TOKEN)) : 0;
    },
  };
}

function hasContent(part: JsonObject): boolean {
  return stringOrEmpty(part["text"]) !== "" || isJsonObject(part["functionCall"]) || isJsonObject(part["inlineData"]);
}
