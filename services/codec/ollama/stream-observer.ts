import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { StreamObserver } from "../codec.ts";
import { stringOrEmpty } from "../json/json-fields.ts";
import { asArray, asObject } from "../json/json-values.ts";
import { createLineCutter, splitLines } from "./line-cutter.ts";
import { mapDoneReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { parsePiece } from "./stream-decoder.ts";

/** Observes Ollama's stream, line by line. */
export function createStreamObserver(): StreamObserver {
  const cutter = createLineCutter();
  let usage: Usage | undefined;
  let finishReason: FinishReason = FinishReason.UNSPECIFIED;
  let contentSeen = false;
  let hasCalls = false;
  let pieces = 0;

  function look(line: string): void {
    const piece = parsePiece(line);
    const message = asObject(piece["message"]) ?? {};
    hasCalls ||= asArray(message["tool_calls"]).length > 0;
    if (stringOrEmpty(message["content"]) !== "" || stringOrEmpty(message["thinking"]) !== "" || hasCalls) {
      contentSeen = true;
      // A piece is a token, but for calls.
      pieces += 1;
    }
    if (piece["done"] === true) {
      contentSeen = true;
      finishReason = mapDoneReason(stringOrEmpty(piece["done_reason"]), hasCalls);
      usage = decodeUsage(piece);
    }
  }

  return {
    push(bytes) {
      const whole = cutter.push(bytes);
      for (const line of splitLines(whole)) {
        look(line);
      }
      return whole;
    },
    get contentSeen() {
      return contentSeen;
    },
    get complete() {
      return finishReason !== FinishReason.UNSPECIFIED;
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
      return Math.max(pieces, contentSeen ? 1 : 0);
    },
  };
}
