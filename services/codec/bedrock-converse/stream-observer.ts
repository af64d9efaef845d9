import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { countDeltaTokens } from "../chat/count-delta-tokens.ts";
import type { StreamObserver } from "../codec.ts";
import { stringOrEmpty } from "../json/json-fields.ts";
import { createFrameCutter } from "./event-frames.ts";
import { mapStopReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { parseFrame } from "./parse-frame.ts";

// The frame of a delta without its text, and with half of the padding that Bedrock adds.
const DELTA_OVERHEAD_BYTES = 200;

/** Observes a ConverseStream, frame by frame. */
export function createStreamObserver(): StreamObserver {
  const cutter = createFrameCutter();
  let usage: Usage | undefined;
  let finishReason: FinishReason = FinishReason.UNSPECIFIED;
  let contentSeen = false;
  let complete = false;
  let deltas = 0;
  let deltaBytes = 0;

  function look(frame: Buffer): void {
    const { type, body } = parseFrame(frame);
    switch (type) {
      case "contentBlockStart":
        contentSeen = true;
        break;
      case "contentBlockDelta":
        contentSeen = true;
        deltas += 1;
        deltaBytes += frame.length;
        break;
      case "messageStop":
        contentSeen = true;
        finishReason = mapStopReason(stringOrEmpty(body["stopReason"]));
        break;
      case "metadata":
        usage = decodeUsage(body["usage"]) ?? usage;
        complete = finishReason !== FinishReason.UNSPECIFIED;
        break;
      default:
        break;
    }
  }

  return {
    push(bytes) {
      const frames = cutter.push(bytes);
      for (const frame of frames) {
        look(frame);
      }
      return Buffer.concat(frames);
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
