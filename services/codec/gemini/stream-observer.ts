import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { isJsonObject, parseJson, stringOrEmpty } from "../json/json-fields.ts";
import { type DataLine, nextDataLine } from "../sse/next-data-line.ts";
import { CodecError, type JsonObject, type StreamObserver } from "../codec.ts";
import { createSseBorderCutter } from "../sse/sse-border-cutter.ts";
import { checkError, readBlockReason, readCandidates, readParts } from "./decode-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";

// One pass of one pattern over Latin-1 text is several times cheaper than a search of the bytes for each marker. The
// quotes are part of the markers: in a text they would be escaped, so most texts cannot match.
const MARKERS = /"(?:usageMetadata|promptTokenCount|finishReason|blockReason|error|functionCall)"/g;
/** The last letters of the markers, before their quotes; `n` is that of a finish and of a block. */
const [LETTER_A, LETTER_L, LETTER_T] = [0x61, 0x6c, 0x74];
const FINISH_MARKER = Buffer.from('"finishReason"');
const ERROR_MARKER = Buffer.from('"error"');
const BLOCK_MARKER = Buffer.from('"blockReason"');
const USAGE_MARKER = Buffer.from('"promptTokenCount"');
const DATA_MARKER = Buffer.from("data:");

const EVENT_OVERHEAD_BYTES = 350;
const BYTES_PER_TOKEN = 4;

/** Observes Gemini's stream: parses events that finish, block or fail, and of the others only the last, when asked. */
export function createStreamObserver(): StreamObserver {
  const cutter = createSseBorderCutter();
  /** The last bytes that hold usage, parsed when somebody asks. Their sender does not write to them again. */
  let usageBytes: Buffer | undefined;
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

  function look(whole: Buffer): void {
    const text = whole.toString("latin1");
    let isNotable = false;
    MARKERS.lastIndex = 0;
    while (MARKERS.test(text)) {
      const letter = text.charCodeAt(MARKERS.lastIndex - 2);
      if (letter === LETTER_A) {
        events += 1;
      } else if (letter === LETTER_T) {
        // Vertex sends usage without counts, too.
        usageBytes = whole;
      } else if (letter === LETTER_L) {
        callSeen = true;
      } else {
        isNotable = true;
      }
    }
    eventBytes += whole.length;
    if (!contentSeen) {
      readLines(whole, DATA_MARKER);
    } else if (isNotable) {
      readLines(whole, FINISH_MARKER);
      readLines(whole, ERROR_MARKER);
      readLines(whole, BLOCK_MARKER);
    }
  }

  function readUsage(bytes: Buffer): void {
    let last: DataLine | undefined;
    for (
      let line = nextDataLine(bytes, USAGE_MARKER, 0);
      line !== undefined;
      line = nextDataLine(bytes, USAGE_MARKER, line.end)
    ) {
      last = line;
    }
    usage = last === undefined ? usage : (decodeUsage(parse(last)["usageMetadata"]) ?? usage);
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
      return native !== "" || blocked;
    },
    get usage() {
      if (usageBytes !== undefined) {
        readUsage(usageBytes);
        usageBytes = undefined;
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
      return contentSeen ? Math.max(events, Math.floor(textBytes / BYTES_PER_TOKEN), 1) : 0;
    },
  };
}

function hasContent(part: JsonObject): boolean {
  return stringOrEmpty(part["text"]) !== "" || isJsonObject(part["functionCall"]) || isJsonObject(part["inlineData"]);
}
