import type { ToolCallDelta, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError } from "../codec.ts";

const MOST_WAITING_CALLS = 128;
const MOST_CHARACTERS = 16 * 1024 * 1024;

/** Where the calls go, one after the other. */
export interface ToolCallSink {
  start(call: ToolCallStart): void;
  continue(argumentsJson: string): void;
  stop(): void;
}

/** Puts the tool calls of one answer one after the other. Holds the state of one stream. */
export interface ToolCallQueue {
  /** Begins a call. It goes out at once when the call before it is complete. */
  start(call: ToolCallStart): void;
  /** Adds arguments to a call that has begun. Throws CodecError (`invalid_stream`) when it is over or unknown. */
  push(delta: ToolCallDelta): void;
  /** Says that no more arguments come: ends the open call and sends out those that waited. */
  flush(): void;
}

interface QueuedCall {
  readonly start: ToolCallStart;
  argumentsJson: string;
}

/**
 * Creates the queue of one stream. Some providers send the arguments of parallel calls in turns, and Anthropic's
 * blocks follow one another: a call waits while the arguments of the one before it are not a whole JSON text.
 */
export function createToolCallQueue(sink: ToolCallSink): ToolCallQueue {
  // The first is open: its arguments have been sent out. The others wait.
  let calls: QueuedCall[] = [];
  let heldCharacters = 0;

  function open(call: QueuedCall): void {
    sink.start(call.start);
    if (call.argumentsJson !== "") {
      sink.continue(call.argumentsJson);
    }
  }

  return {
    start(start) {
      const [current] = calls;
      if (current !== undefined && calls.length === 1 && isWholeJson(current.argumentsJson)) {
        sink.stop();
        calls = [];
        heldCharacters = 0;
      }
      if (calls.length > MOST_WAITING_CALLS) {
        throw new CodecError("the stream has too many parallel tool calls", { code: "invalid_stream" });
      }
      const call = { start, argumentsJson: "" };
      calls.push(call);
      if (calls.length === 1) {
        open(call);
      }
    },
    push({ callIndex, argumentsJson }) {
      const call = calls.find(({ start }) => start.callIndex === callIndex);
      if (call === undefined) {
        throw new CodecError(`the stream continues tool call ${callIndex}, which is not open`, {
          code: "invalid_stream",
        });
      }
      if (argumentsJson === "") {
        return;
      }
      heldCharacters += argumentsJson.length;
      if (heldCharacters > MOST_CHARACTERS) {
        throw new CodecError("the arguments of the tool calls are too long", { code: "frame_too_large" });
      }
      call.argumentsJson += argumentsJson;
      if (call === calls[0]) {
        sink.continue(argumentsJson);
      }
    },
    flush() {
      if (calls.length === 0) {
        return;
      }
      for (const [index, call] of calls.entries()) {
        if (index > 0) {
          open(call);
        }
        sink.stop();
      }
      calls = [];
      heldCharacters = 0;
    },
  };
}

function isWholeJson(text: string): boolean {
  // An object can only be whole when it ends in a brace; this spares the parser nearly all attempts.
  if (!text.trimEnd().endsWith("}")) {
    return false;
  }
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
