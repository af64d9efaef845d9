import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { CodecError, type Json, type JsonObject, ProviderStreamError, type StreamDecoder } from "../codec.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import {
  adjustFinishReason,
  readArguments,
  readContentPieces,
  readEmbeddedError,
  readUsage,
} from "./decode-response.ts";
import { isJsonObject } from "../json/json-fields.ts";
import { asArray, asEpochSeconds, asIndex, asNumber, asObject, asString } from "../json/json-values.ts";
import { makeCallId } from "./make-call-id.ts";
import { mapFinishReason } from "./map-finish-reason.ts";
import { readDetailedThoughts, readReasoningText } from "./reasoning-details.ts";
import { readThoughtSignature } from "./thought-signature.ts";
import { ToolCallTracker } from "./tool-call-tracker.ts";

// OpenAI's own limit of `n`.
const MAX_CANDIDATES = 128;

interface CandidateState {
  readonly calls: ToolCallTracker;
  finished: boolean;
}

/** Creates a decoder for one stream of chat completion chunks. */
export function createStreamDecoder(): StreamDecoder {
  return new OpenAiStreamDecoder();
}

/** Parses the data of one event. Throws ProviderStreamError for an error, CodecError for what is not a chunk. */
export function parseChunk(event: SseEvent): JsonObject {
  let value: Json;
  try {
    // JSON.parse makes nothing but JSON values.
    value = JSON.parse(event.data) as Json;
  } catch (cause) {
    if (event.event === "error") {
      throw new ProviderStreamError(event.data);
    }
    throw new CodecError("the stream holds an event that is not JSON", { code: "invalid_json", cause });
  }
  if (event.event === "error") {
    throw new ProviderStreamError(value);
  }
  if (!isJsonObject(value)) {
    throw new CodecError("the stream holds an event that is not an object", { code: "invalid_type" });
  }
  const error = readEmbeddedError(value);
  if (error !== undefined) {
    throw new ProviderStreamError(error);
  }
  return value;
}

class OpenAiStreamDecoder implements StreamDecoder {
  readonly #sse = createSseDecoder();
  readonly #candidates = new Map<number, CandidateState>();
  #id = "";
  #started = false;
  #ended = false;
  #usage: Usage | undefined;
  /** Once thoughts came as plain text, the text of `reasoning_details` repeats them. */
  #hasPlainReasoning = false;

  push(bytes: Uint8Array): ChatEvent[] {
    return this.#decode(this.#sse.push(bytes));
  }

  end(): ChatEvent[] {
    const events = this.#decode(this.#sse.end());
    if (!this.#sse.isCut) {
      this.#complete(events);
    }
    return events;
  }

  #decode(messages: readonly SseEvent[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const message of messages) {
      if (this.#ended) {
        break;
      }
      if (message.data.trim() === "[DONE]") {
        this.#complete(events);
        this.#ended = true;
      } else {
        this.#decodeChunk(parseChunk(message), events);
      }
    }
    return events;
  }

  /** Ends the answer if all its candidates have finished; a stream that was cut ends without an end event. */
  #complete(events: ChatEvent[]): void {
    const candidates = [...this.#candidates.values()];
    if (!this.#ended && candidates.length > 0 && candidates.every((candidate) => candidate.finished)) {
      this.#ended = true;
      events.push(endEvent(this.#usage));
    }
  }

  #decodeChunk(chunk: JsonObject, events: ChatEvent[]): void {
    this.#usage = readUsage(chunk) ?? this.#usage;
    for (const value of asArray(chunk["choices"])) {
      const choice = asObject(value);
      const delta = asObject(choice?.["delta"]);
      const native = asString(choice?.["finish_reason"]);
      // Azure's filter sends choices that say nothing about the answer.
      if (choice === undefined || (delta === undefined && native === "")) {
        continue;
      }
      this.#start(chunk, events);
      const index = asNumber(choice["index"]) ?? 0;
      const candidate = this.#candidate(index);
      this.#decodeDelta(delta ?? {}, index, choice, candidate, events);
      if (native !== "" && !candidate.finished) {
        candidate.finished = true;
        for (const callIndex of candidate.calls.takeCallsWithoutArguments()) {
          events.push(toolCallDelta(index, callIndex, "{}"));
        }
        const reason = adjustFinishReason(mapFinishReason(native), candidate.calls.hasCalls);
        events.push(finishEvent(index, reason, native));
      }
    }
  }

  #start(chunk: JsonObject, events: ChatEvent[]): void {
    if (this.#started) {
      return;
    }
    this.#started = true;
    this.#id = asString(chunk["id"]);
    const created = asEpochSeconds(chunk["created"]);
    const createTime =
      created === undefined
        ? undefined
        : ({ $typeName: "google.protobuf.Timestamp", seconds: created, nanos: 0 } as const);
    events.push(startEvent(this.#id, asString(chunk["model"]), createTime));
  }

  #candidate(index: number): CandidateState {
    const known = this.#candidates.get(index);
    if (known !== undefined) {
      return known;
    }
    if (!Number.isInteger(index) || index < 0 || index >= MAX_CANDIDATES) {
      throw new CodecError("the stream holds a choice with an impossible index", {
        param: "choices",
        code: "invalid_value",
      });
    }
    const candidate: CandidateState = { calls: new ToolCallTracker(), finished: false };
    this.#candidates.set(index, candidate);
    return candidate;
  }

  #decodeDelta(
    delta: JsonObject,
    index: number,
    choice: JsonObject,
    candidate: CandidateState,
    events: ChatEvent[],
  ): void {
    this.#decodeReasoning(delta, index, events);
    this.#decodeText(delta, index, choice, events);
    const refusal = asString(delta["refusal"]);
    if (refusal !== "") {
      events.push(refusalDelta(index, refusal));
    }
    for (const call of asArray(delta["tool_calls"])) {
      this.#decodeToolCall(asObject(call) ?? {}, index, candidate, events);
    }
  }

  #decodeReasoning(delta: JsonObject, index: number, events: ChatEvent[]): void {
    const text = readReasoningText(delta);
    if (text !== "") {
      this.#hasPlainReasoning = true;
      events.push(reasoningDelta(index, text));
    }
    for (const thought of readDetailedThoughts(delta)) {
      const added = this.#hasPlainReasoning ? "" : thought.text;
      if (added !== "" || thought.signature !== "" || thought.redactedData !== "") {
        events.push(reasoningDelta(index, added, thought.signature, thought.redactedData));
      }
    }
  }

  #decodeText(delta: JsonObject, index: number, choice: JsonObject, events: ChatEvent[]): void {
    const logprobs = choice["logprobs"];
    let logprobsJson = logprobs === undefined || logprobs === null ? "" : JSON.stringify(logprobs);
    let signature = readThoughtSignature(delta);
    for (const piece of readContentPieces(delta["content"])) {
      if (piece.isThought) {
        events.push(reasoningDelta(index, piece.text));
      } else {
        events.push(textDelta(index, piece.text, signature, logprobsJson));
        logprobsJson = "";
        signature = "";
      }
    }
    // Signatures and log probabilities also come with an empty text.
    if (signature !== "" || logprobsJson !== "") {
      events.push(textDelta(index, "", signature, logprobsJson));
    }
  }

  #decodeToolCall(call: JsonObject, index: number, candidate: CandidateState, events: ChatEvent[]): void {
    const called = asObject(call["function"]) ?? {};
    const id = asString(call["id"]);
    const name = asString(called["name"]);
    const { callIndex, isNew } = candidate.calls.track({ index: asIndex(call["index"]), id, name });
    if (isNew) {
      const signature = readThoughtSignature(call);
      events.push(
        toolCallStart(index, callIndex, { id: id || makeCallId(this.#id, index, callIndex), name, signature }),
      );
    }
    const text = readArguments(called["arguments"]);
    if (text !== "") {
      candidate.calls.noteArguments(callIndex);
      events.push(toolCallDelta(index, callIndex, text));
    }
  }
}

function refusalDelta(candidateIndex: number, text: string): ChatEvent {
  return {
    $typeName: "penstock.chat.v1.ChatEvent",
    event: { case: "refusalDelta", value: { $typeName: "penstock.chat.v1.RefusalDelta", candidateIndex, text } },
  };
}
