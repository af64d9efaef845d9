import type { ChatEvent, FinishEvent, StartEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { isJsonObject, parseJson } from "../json/json-fields.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { encodeCallPart, encodeCreateTime } from "./encode-response.ts";
import { toFinishReason } from "./map-finish-reason.ts";
import { encodeUsage } from "./map-usage.ts";

const MOST_CANDIDATES = 64;
const MOST_CALLS = 128;
const MOST_CHARACTERS = 16 * 1024 * 1024;

interface HeldCall {
  readonly id: string;
  readonly name: string;
  readonly signature: string;
  argumentsJson: string;
}

interface CandidateState {
  /** Calls by their place, in the order of their beginning. Gemini's clients want each whole. */
  readonly calls: Map<number, HeldCall>;
  finish: FinishEvent | undefined;
}

/**
 * Encodes Gemini's stream: each event an answer of its own, lines ending in CRLF, no final marker. Finishes and usage go
 * out with the end, so that a stream that was cut has none.
 */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  const candidates = new Map<number, CandidateState>();
  let head: JsonObject = { responseId: options.fallbackId };
  let usage: Usage | undefined;
  let heldCharacters = 0;
  let out = "";

  function stateOf(index: number): CandidateState {
    let state = candidates.get(index);
    if (state === undefined) {
      if (candidates.size >= MOST_CANDIDATES) {
        throw new CodecError("the stream has too many candidates", { code: "invalid_stream" });
      }
      state = { calls: new Map(), finish: undefined };
      candidates.set(index, state);
    }
    return state;
  }

  function write(candidate: JsonObject): void {
    out += `data: ${JSON.stringify({ candidates: [candidate], ...encodeUsage(usage), ...head })}\r\n\r\n`;
  }

  function writePart(index: number, part: JsonObject, more: JsonObject = {}): void {
    write({ content: { parts: [part], role: "model" }, index, ...more });
  }

  function start(event: StartEvent): void {
    head = {
      modelVersion: event.model,
      ...encodeCreateTime(event.createTime),
      responseId: event.id === "" ? options.fallbackId : event.id,
    };
    usage = event.usage;
  }

  /** Writes the calls that were held back; `finishReason` says whether the last may have been cut. */
  function writeCalls(index: number, finishReason: FinishReason): void {
    const { calls } = stateOf(index);
    for (const call of calls.values()) {
      const part = encodeCallPart(call, finishReason);
      if (part !== undefined) {
        writePart(index, part);
      }
    }
    calls.clear();
  }

  function writeText(index: number, text: string, more: JsonObject, logprobsJson = ""): void {
    const logprobs = logprobsJson === "" ? undefined : parseJson(logprobsJson, "logprobs");
    const isOwn = isJsonObject(logprobs) && logprobs["chosenCandidates"] !== undefined;
    writePart(index, { text, ...more }, isOwn ? { logprobsResult: logprobs } : {});
  }

  function end(): void {
    for (const [index, { finish }] of candidates) {
      if (finish === undefined) {
        continue;
      }
      writeCalls(index, finish.finishReason);
      const finishReason = toFinishReason(finish.finishReason, finish.nativeFinishReason);
      write({
        content: { parts: [{ text: "" }], role: "model" },
        ...(finishReason === undefined ? {} : { finishReason }),
        index,
      });
    }
  }

  function hold(characters: number): void {
    heldCharacters += characters;
    if (heldCharacters > MOST_CHARACTERS) {
      throw new CodecError("the arguments of the tool calls are too long", { code: "frame_too_large" });
    }
  }

  function encodeEvent({ event }: ChatEvent): void {
    switch (event.case) {
      case "start":
        start(event.value);
        break;
      case "textDelta": {
        const { candidateIndex, text, signature, logprobsJson } = event.value;
        writeText(candidateIndex, text, signature === "" ? {} : { thoughtSignature: signature }, logprobsJson);
        break;
      }
      case "refusalDelta":
        writeText(event.value.candidateIndex, event.value.text, {});
        break;
      case "reasoningDelta": {
        const { candidateIndex, text, signature } = event.value;
        // Another provider's opaque thoughts mean nothing to Gemini's clients.
        if (text !== "" || signature !== "") {
          writeText(candidateIndex, text, {
            thought: true,
            ...(signature === "" ? {} : { thoughtSignature: signature }),
          });
        }
        break;
      }
      case "toolCallStart": {
        const { candidateIndex, callIndex, id, name, signature } = event.value;
        const { calls } = stateOf(candidateIndex);
        if (calls.size >= MOST_CALLS) {
          throw new CodecError("the stream has too many tool calls", { code: "invalid_stream" });
        }
        calls.set(callIndex, { id, name, signature, argumentsJson: "" });
        break;
      }
      case "toolCallDelta": {
        const call = stateOf(event.value.candidateIndex).calls.get(event.value.callIndex);
        if (call === undefined) {
          throw new CodecError("the stream continues a tool call that is not open", { code: "invalid_stream" });
        }
        hold(event.value.argumentsJson.length);
        call.argumentsJson += event.value.argumentsJson;
        break;
      }
      case "finish":
        stateOf(event.value.candidateIndex).finish = event.value;
        break;
      case "end":
        usage = event.value.usage ?? usage;
        end();
        break;
      default:
        throw new CodecError("the stream has an event without content", { code: "invalid_stream" });
    }
  }

  return {
    encode(events) {
      out = "";
      for (const event of events) {
        encodeEvent(event);
      }
      return Buffer.from(out, "utf8");
    },
  };
}
