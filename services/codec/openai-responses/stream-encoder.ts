import type { ChatEvent, ReasoningDelta, ToolCallDelta, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type Json, type JsonObject, type StreamEncoder } from "../codec.ts";
import { parseJsonObject } from "../json/json-values.ts";
import { writeSseEvent } from "../sse/write-sse.ts";
import { markForNextPart, markForPreviousPart, markRedacted } from "./encrypted-content.ts";
import { writeResponseEnd } from "./map-finish-reason.ts";
import {
  callItem,
  type ItemStatus,
  messageItem,
  outputRefusal,
  outputText,
  reasoningItem,
  type ResponseHead,
  summaryText,
  writeItemId,
  writeLogprobs,
  writeResponse,
  writeResponseId,
} from "./output-items.ts";

const MAX_OUTPUT_LENGTH = 64 * 1024 * 1024;
const MAX_ITEMS = 4096;

interface OpenPart {
  readonly kind: "output_text" | "refusal";
  text: string;
  readonly logprobs: Json[];
}

interface OpenItem {
  readonly id: string;
  readonly outputIndex: number;
}

interface OpenMessage extends OpenItem {
  readonly done: JsonObject[];
  part: OpenPart | undefined;
}

interface OpenThought extends OpenItem {
  text: string;
}

interface OpenCall extends OpenItem {
  readonly start: ToolCallStart;
  argumentsJson: string;
}

/** Creates an encoder for one stream of a response. */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  return new ResponsesStreamEncoder(options);
}

/**
 * Writes the events in OpenAI's order. The last one repeats the whole answer, so the encoder keeps it. Writes no end when
 * no finish was seen, so that a cut answer cannot look complete.
 */
class ResponsesStreamEncoder implements StreamEncoder {
  readonly #options: EncodeResponseOptions;
  readonly #output: Json[] = [];
  readonly #calls = new Map<number, OpenCall>();
  readonly #closedCalls = new Set<number>();
  #head: ResponseHead;
  #out = "";
  #sequence = 0;
  #length = 0;
  #started = false;
  #message: OpenMessage | undefined;
  #thought: OpenThought | undefined;
  #finishReason: FinishReason = FinishReason.UNSPECIFIED;
  #ended = false;

  constructor(options: EncodeResponseOptions) {
    this.#options = options;
    this.#head = { id: writeResponseId(options.fallbackId), createdAt: options.fallbackCreated, model: "" };
  }

  encode(events: readonly ChatEvent[]): Uint8Array {
    this.#out = "";
    for (const { event } of events) {
      // Responses have one candidate; the others of other dialects are left out.
      if (event.value !== undefined && (!("candidateIndex" in event.value) || event.value.candidateIndex === 0)) {
        this.#encodeEvent(event);
      }
    }
    return Buffer.from(this.#out, "utf8");
  }

  #encodeEvent(event: ChatEvent["event"]): void {
    switch (event.case) {
      case "start": {
        const { id, model, createTime } = event.value;
        const createdAt = createTime === undefined ? this.#options.fallbackCreated : Number(createTime.seconds);
        this.#head = { id: writeResponseId(id || this.#options.fallbackId), createdAt, model };
        this.#start();
        break;
      }
      case "textDelta":
        this.#writeText(event.value.text, event.value.logprobsJson, event.value.signature);
        break;
      case "refusalDelta":
        this.#writeRefusal(event.value.text);
        break;
      case "reasoningDelta":
        this.#writeThought(event.value);
        break;
      case "toolCallStart":
        this.#startCall(event.value);
        break;
      case "toolCallDelta":
        this.#continueCall(event.value);
        break;
      case "finish":
        this.#finishReason = event.value.finishReason;
        break;
      case "end":
        this.#end(event.value.usage);
        break;
      case undefined:
        break;
    }
  }

  #write(type: string, fields: JsonObject): void {
    this.#out += writeSseEvent(type, JSON.stringify({ type, sequence_number: this.#sequence++, ...fields }));
  }

  /** Writes a delta of a part, the event that a stream consists of, without building an object. */
  #writeDelta(type: string, item: OpenItem, place: string, delta: string, tail = ""): void {
    this.#grow(delta.length);
    this.#out += writeSseEvent(
      type,
      `{"type":"${type}","sequence_number":${this.#sequence++},"item_id":"${item.id}","output_index":${item.outputIndex},${place}"delta":${JSON.stringify(delta)}${tail}}`,
    );
  }

  #grow(length: number): void {
    this.#length += length;
    if (this.#length > MAX_OUTPUT_LENGTH) {
      throw new CodecError(`the answer is longer than ${MAX_OUTPUT_LENGTH} characters`, { code: "frame_too_large" });
    }
  }

  #start(): void {
    if (this.#started) {
      return;
    }
    this.#started = true;
    const response = writeResponse(this.#head, undefined, [], undefined);
    this.#write("response.created", { response });
    this.#write("response.in_progress", { response });
  }

  #openItem(kind: "msg" | "rs" | "fc", write: (id: string) => JsonObject): OpenItem {
    this.#start();
    const outputIndex = this.#output.length;
    if (outputIndex >= MAX_ITEMS) {
      throw new CodecError(`the answer has more than ${MAX_ITEMS} items`, { code: "array_above_max_length" });
    }
    const id = writeItemId(kind, this.#head.id, outputIndex);
    this.#output.push(null);
    this.#write("response.output_item.added", { output_index: outputIndex, item: write(id) });
    return { id, outputIndex };
  }

  #closeItem(item: OpenItem, written: JsonObject): void {
    this.#output[item.outputIndex] = written;
    this.#write("response.output_item.done", { output_index: item.outputIndex, item: written });
  }

  #writeText(text: string, logprobsJson: string, signature: string): void {
    if (text !== "" || logprobsJson !== "") {
      const message = this.#openPart("output_text");
      const logprobs = writeLogprobs(logprobsJson);
      const place = `"content_index":${message.done.length},`;
      this.#grow(logprobsJson.length);
      this.#writeDelta("response.output_text.delta", message, place, text, `,"logprobs":${JSON.stringify(logprobs)}`);
      message.part.text += text;
      message.part.logprobs.push(...logprobs);
    }
    if (signature !== "") {
      this.#writeSignature(markForPreviousPart(signature));
    }
  }

  #writeRefusal(text: string): void {
    if (text !== "") {
      const message = this.#openPart("refusal");
      this.#writeDelta("response.refusal.delta", message, `"content_index":${message.done.length},`, text);
      message.part.text += text;
    }
  }

  /** The open message, with a part of the kind open in it. */
  #openPart(kind: OpenPart["kind"]): OpenMessage & { part: OpenPart } {
    this.#closeThought("");
    const message = this.#message ?? {
      ...this.#openItem("msg", (id) => messageItem(id, [], "in_progress")),
      done: [],
      part: undefined,
    };
    this.#message = message;
    if (message.part?.kind !== kind) {
      this.#closePart(message);
      message.part = { kind, text: "", logprobs: [] };
      this.#write("response.content_part.added", { ...placeOf(message), part: writePart(message.part) });
    }
    // The part is open as of here, and a caller keeps the message no longer than one event.
    return message as OpenMessage & { part: OpenPart };
  }

  #closePart(message: OpenMessage): void {
    const { part } = message;
    if (part === undefined) {
      return;
    }
    const place = placeOf(message);
    const written = writePart(part);
    if (part.kind === "refusal") {
      this.#write("response.refusal.done", { ...place, refusal: part.text });
    } else {
      this.#write("response.output_text.done", { ...place, text: part.text, logprobs: part.logprobs });
    }
    this.#write("response.content_part.done", { ...place, part: written });
    message.done.push(written);
    message.part = undefined;
  }

  #closeMessage(status: ItemStatus = "completed"): void {
    const message = this.#message;
    if (message !== undefined) {
      this.#closePart(message);
      this.#message = undefined;
      this.#closeItem(message, messageItem(message.id, message.done, status));
    }
  }

  #writeThought({ text, signature, redactedData }: ReasoningDelta): void {
    if (text !== "") {
      const thought = this.#openThought();
      if (thought.text === "") {
        this.#write("response.reasoning_summary_part.added", { ...summaryPlaceOf(thought), part: summaryText("") });
      }
      this.#writeDelta("response.reasoning_summary_text.delta", thought, '"summary_index":0,', text);
      thought.text += text;
    }
    if (signature !== "") {
      this.#grow(signature.length);
      this.#openThought();
      this.#closeThought(signature);
    }
    if (redactedData !== "") {
      this.#writeSignature(markRedacted(redactedData));
    }
  }

  #openThought(): OpenThought {
    this.#closeMessage();
    this.#thought ??= { ...this.#openItem("rs", (id) => reasoningItem(id, "", "")), text: "" };
    return this.#thought;
  }

  #closeThought(encryptedContent: string): void {
    const thought = this.#thought;
    if (thought === undefined) {
      return;
    }
    this.#thought = undefined;
    if (thought.text !== "") {
      const place = summaryPlaceOf(thought);
      this.#write("response.reasoning_summary_text.done", { ...place, text: thought.text });
      this.#write("response.reasoning_summary_part.done", { ...place, part: summaryText(thought.text) });
    }
    this.#closeItem(thought, reasoningItem(thought.id, thought.text, encryptedContent));
  }

  /** Writes an item that carries nothing but what is to be sent back. */
  #writeSignature(encryptedContent: string): void {
    this.#grow(encryptedContent.length);
    this.#closeThought("");
    this.#openThought();
    this.#closeThought(encryptedContent);
  }

  #startCall(start: ToolCallStart): void {
    this.#closeThought("");
    this.#closeMessage();
    this.#closeWholeCalls();
    if (start.signature !== "") {
      this.#writeSignature(markForNextPart(start.signature));
    }
    const item = this.#openItem("fc", (id) => callItem(id, { ...start, argumentsJson: "" }, "in_progress"));
    this.#calls.set(start.callIndex, { ...item, start, argumentsJson: "" });
  }

  #continueCall({ callIndex, argumentsJson }: ToolCallDelta): void {
    const call = this.#calls.get(callIndex);
    if (call !== undefined) {
      this.#writeDelta("response.function_call_arguments.delta", call, "", argumentsJson);
      call.argumentsJson += argumentsJson;
    } else if (!this.#closedCalls.has(callIndex) || argumentsJson.trim() !== "") {
      throw new CodecError(`the stream continues the tool call ${callIndex}, which is not open`, {
        code: "invalid_stream",
      });
    }
  }

  /** Ends the calls whose arguments are whole: most providers send one call after the other, and clients act on ends. */
  #closeWholeCalls(): void {
    for (const call of this.#calls.values()) {
      if (parseJsonObject(call.argumentsJson) !== undefined) {
        this.#closeCall(call, "completed");
      }
    }
  }

  #closeCall(call: OpenCall, status: ItemStatus): void {
    this.#calls.delete(call.start.callIndex);
    this.#closedCalls.add(call.start.callIndex);
    const argumentsJson = call.argumentsJson || "{}";
    const { outputIndex } = call;
    this.#write("response.function_call_arguments.done", {
      item_id: call.id,
      output_index: outputIndex,
      arguments: argumentsJson,
    });
    this.#closeItem(call, callItem(call.id, { ...call.start, argumentsJson }, status));
  }

  #end(usage: Usage | undefined): void {
    if (this.#ended || this.#finishReason === FinishReason.UNSPECIFIED) {
      return;
    }
    this.#ended = true;
    this.#start();
    const end = writeResponseEnd(this.#finishReason);
    // What is open now is what the end cut.
    const status = end.status === "completed" ? "completed" : "incomplete";
    this.#closeThought("");
    this.#closeMessage(status);
    for (const call of this.#calls.values()) {
      this.#closeCall(call, status);
    }
    this.#write(`response.${end.status}`, { response: writeResponse(this.#head, end, this.#output, usage) });
  }
}

function placeOf(message: OpenMessage): JsonObject {
  return { item_id: message.id, output_index: message.outputIndex, content_index: message.done.length };
}

function summaryPlaceOf(thought: OpenThought): JsonObject {
  return { item_id: thought.id, output_index: thought.outputIndex, summary_index: 0 };
}

function writePart(part: OpenPart): JsonObject {
  return part.kind === "refusal" ? outputRefusal(part.text) : outputText(part.text, part.logprobs);
}
