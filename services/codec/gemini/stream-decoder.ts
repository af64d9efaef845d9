import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { isJsonObject, parseJson, stringOrEmpty, unsupported } from "../json/json-fields.ts";
import { CodecError, type Json, type JsonObject, type StreamDecoder } from "../codec.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import {
  checkError,
  readBlockReason,
  readCandidates,
  readCreateTime,
  readIndex,
  readLogprobs,
  readParts,
} from "./decode-response.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { decodeUsage } from "./map-usage.ts";
import { createPartialArguments, type PartialArguments, readPartialArgs } from "./partial-arguments.ts";
import { readToolCallId } from "./tool-call-id.ts";

const MOST_CANDIDATES = 64;

interface CandidateState {
  callCount: number;
  /** The call whose arguments come in pieces; undefined when none does. */
  openCall: PartialArguments | undefined;
  nativeFinishReason: string;
}

/**
 * Decodes Gemini's stream, each event of which is an answer of its own. Nothing marks its end, and a finish may come
 * before the last part and its signature, so finishes and the end are told when the bytes have ended, if every
 * candidate has finished. Usage comes with every event and grows: the last counts.
 */
export function createStreamDecoder(): StreamDecoder {
  const sse = createSseDecoder();
  const candidates = new Map<number, CandidateState>();
  let started = false;
  let responseId = "";
  let blockReason = "";
  let usage: Json | undefined;

  function stateOf(index: number): CandidateState {
    let state = candidates.get(index);
    if (state === undefined) {
      if (candidates.size >= MOST_CANDIDATES) {
        throw new CodecError("the stream has too many candidates", { code: "invalid_stream" });
      }
      state = { callCount: 0, openCall: undefined, nativeFinishReason: "" };
      candidates.set(index, state);
    }
    return state;
  }

  function closeCall(index: number, state: CandidateState, events: ChatEvent[]): void {
    if (state.openCall !== undefined) {
      events.push(toolCallDelta(index, state.callCount - 1, state.openCall.toJson()));
      state.openCall = undefined;
    }
  }

  function decodeCall(part: JsonObject, call: JsonObject, index: number, events: ChatEvent[]): void {
    const state = stateOf(index);
    const name = stringOrEmpty(call["name"]);
    // A call in pieces has its name in the first piece only.
    if (name !== "") {
      closeCall(index, state, events);
      const id = readToolCallId(call, responseId, index, state.callCount);
      const signature = stringOrEmpty(part["thoughtSignature"]);
      events.push(toolCallStart(index, state.callCount, { id, name, signature }));
      state.callCount += 1;
      state.openCall = createPartialArguments(isJsonObject(call["args"]) ? call["args"] : {});
    }
    if (state.openCall === undefined) {
      throw new CodecError("the stream continues a tool call that is not open", { code: "invalid_stream" });
    }
    state.openCall.add(readPartialArgs(call));
    if (call["willContinue"] !== true) {
      closeCall(index, state, events);
    }
  }

  function decodePart(part: JsonObject, index: number, logprobs: string, events: ChatEvent[]): void {
    const call = part["functionCall"];
    const text = stringOrEmpty(part["text"]);
    const signature = stringOrEmpty(part["thoughtSignature"]);
    if (isJsonObject(call)) {
      decodeCall(part, call, index, events);
    } else if (isJsonObject(part["inlineData"])) {
      throw unsupported("candidates.content.parts.inlineData", "cannot be translated in a stream");
    } else if (text !== "" || signature !== "") {
      events.push(
        part["thought"] === true ? reasoningDelta(index, text, signature) : textDelta(index, text, signature, logprobs),
      );
    }
  }

  function decodeChunk(chunk: JsonObject, events: ChatEvent[]): void {
    responseId ||= stringOrEmpty(chunk["responseId"]);
    const chunkUsage = decodeUsage(chunk["usageMetadata"]);
    if (chunkUsage !== undefined) {
      usage = chunk["usageMetadata"];
    }
    if (!started) {
      started = true;
      events.push(startEvent(responseId, stringOrEmpty(chunk["modelVersion"]), readCreateTime(chunk), chunkUsage));
    }
    blockReason ||= readBlockReason(chunk);
    for (const candidate of readCandidates(chunk)) {
      const index = readIndex(candidate);
      const state = stateOf(index);
      const logprobs = readLogprobs(candidate);
      for (const [place, part] of readParts(candidate).entries()) {
        decodePart(part, index, place === 0 ? logprobs : "", events);
      }
      state.nativeFinishReason = stringOrEmpty(candidate["finishReason"]) || state.nativeFinishReason;
    }
  }

  function decodeAll(messages: readonly SseEvent[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const { data } of messages) {
      const chunk = parseJson(data, "the stream");
      checkError(chunk);
      if (!isJsonObject(chunk)) {
        throw new CodecError("the stream has an event that is not an object", { code: "invalid_stream" });
      }
      decodeChunk(chunk, events);
    }
    return events;
  }

  function finishAll(events: ChatEvent[]): void {
    if (blockReason !== "") {
      // The filter may stop a prompt before its first candidate, or later in place of every finish.
      stateOf(0);
    }
    const states = [...candidates].toSorted(([one], [other]) => one - other);
    const isFinished = ({ nativeFinishReason, openCall }: CandidateState): boolean =>
      blockReason !== "" || (nativeFinishReason !== "" && openCall === undefined);
    if (states.length === 0 || !states.every(([, state]) => isFinished(state))) {
      return;
    }
    for (const [index, { nativeFinishReason, callCount }] of states) {
      events.push(
        nativeFinishReason === ""
          ? finishEvent(index, FinishReason.CONTENT_FILTER, blockReason)
          : finishEvent(index, mapFinishReason(nativeFinishReason, callCount > 0), nativeFinishReason),
      );
    }
    events.push(endEvent(decodeUsage(usage)));
  }

  return {
    push: (bytes) => decodeAll(sse.push(bytes)),
    end() {
      const events = decodeAll(sse.end());
      if (!sse.isCut) {
        finishAll(events);
      }
      return events;
    },
  };
}
