import type { ChatEvent, ReasoningDelta, ToolCallDelta, ToolCallStart } from "#gen/penstock/chat/v1/chat_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodeResponseOptions, type Json, type JsonObject, type StreamEncoder } from "../codec.ts";
import { parseJsonObject } from "../json/json-values.ts";
import { markForNextPart, markForPreviousPart, markRedacted } from "./encrypted-content.ts";
import { writeResponseEnd } from "./map-finish-reason.ts";
import {
  callItem,
  type ItemStatus,
  kindOfCall,
  messageItem,
  outputRefusal,
  outputText,
  reasoningItem,
  summaryText,
  writeLogprobs,
  writeResponseId,
} from "./output-items.ts";
import { type OpenItem, StreamEventWriter } from "./stream-event-writer.ts";
import { textOfArguments } from "./tool-names.ts";

interface OpenPart {
  readonly kind: "output_text" | "refusal";
  text: string;
  readonly logprobs: Json[];
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
  /** Its text is inside its arguments, and is written when they are whole. */
  readonly takesText: boolean;
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
  readonly #writer: StreamEventWriter;
  readonly #calls = new Map<number, OpenCall>();
  readonly #closedCalls = new Set<number>();
  #message: OpenMessage | undefined;
  #thought: OpenThought | undefined;
  #finishReason: FinishReason = FinishReason.UNSPECIFIED;
  #ended = false;

  constructor(options: EncodeResponseOptions) {
    this.#options = options;
    const id = writeResponseId(options.fallbackId);
    this.#writer = new StreamEventWriter({ id, createdAt: options.fallbackCreated, model: "" });
  }

  encode(events: readonly ChatEvent[]): Uint8Array {
    for (const { event } of events) {
      // Responses have one candidate; the others of other dialects are left out.
      if (event.value !== undefined && (!("candidateIndex" in event.value) || event.value.candidateIndex === 0)) {
        this.#encodeEvent(event);
      }
    }
    return Buffer.from(this.#writer.take(), "utf8");
  }

  #encodeEvent(event: ChatEvent["event"]): void {
    switch (event.case) {
      case "start": {
        const { id, model, createTime } = event.value;
        const createdAt = createTime === undefined ? this.#options.fallbackCreated : Number(createTime.seconds);
        this.#writer.start({ id: writeResponseId(id || this.#options.fallbackId), createdAt, model });
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

  #writeText(text: string, logprobsJson: string, signature: string): void {
    if (text !== "" || logprobsJson !== "") {
      const message = this.#openPart("output_text");
      const logprobs = writeLogprobs(logprobsJson);
      const place = `"content_index":${message.done.length},`;
      this.#writer.grow(logprobsJson.length);
      this.#writer.writeDelta(
        "response.output_text.delta",
        message,
        place,
        text,
        `,"logprobs":${JSON.stringify(logprobs)}`,
      );
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
      this.#writer.writeDelta("response.refusal.delta", message, `"content_index":${message.done.length},`, text);
      message.part.text += text;
    }
  }

  /** The open message, with a part of the kind open in it. */
  #openPart(kind: OpenPart["kind"]): OpenMessage & { part: OpenPart } {
    this.#closeThought("");
    const message = this.#message ?? {
      ...this.#writer.openItem("msg", (id) => messageItem(id, [], "in_progress")),
      done: [],
      part: undefined,
    };
    this.#message = message;
    if (message.part?.kind !== kind) {
      this.#closePart(message);
      message.part = { kind, text: "", logprobs: [] };
      this.#writer.write("response.content_part.added", { ...placeOf(message), part: writePart(message.part) });
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
      this.#writer.write("response.refusal.done", { ...place, refusal: part.text });
    } else {
      this.#writer.write("response.output_text.done", { ...place, text: part.text, logprobs: part.logprobs });
    }
    this.#writer.write("response.content_part.done", { ...place, part: written });
    message.done.push(written);
    message.part = undefined;
  }

  #closeMessage(status: ItemStatus = "completed"): void {
    const message = this.#message;
    if (message !== undefined) {
      this.#closePart(message);
      this.#message = undefined;
      this.#writer.closeItem(message, messageItem(message.id, message.done, status));
    }
  }

  #writeThought({ text, signature, redactedData }: ReasoningDelta): void {
    if (text !== "") {
      const thought = this.#openThought();
      if (thought.text === "") {
        this.#writer.write("response.reasoning_summary_part.added", {
          ...summaryPlaceOf(thought),
          part: summaryText(""),
        });
      }
      this.#writer.writeDelta("response.reasoning_summary_text.delta", thought, '"summary_index":0,', text);
      thought.text += text;
    }
    if (signature !== "") {
      this.#writer.grow(signature.length);
      this.#openThought();
      this.#closeThought(signature);
    }
    if (redactedData !== "") {
      this.#writeSignature(markRedacted(redactedData));
    }
  }

  #openThought(): OpenThought {
    this.#closeMessage();
    this.#thought ??= { ...this.#writer.openItem("rs", (id) => reasoningItem(id, "", "")), text: "" };
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
      this.#writer.write("response.reasoning_summary_text.done", { ...place, text: thought.text });
      this.#writer.write("response.reasoning_summary_part.done", { ...place, part: summaryText(thought.text) });
    }
    this.#writer.closeItem(thought, reasoningItem(thought.id, thought.text, encryptedContent));
  }

  /** Writes an item that carries nothing but what is to be sent back. */
  #writeSignature(encryptedContent: string): void {
    this.#writer.grow(encryptedContent.length);
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
    const kind = kindOfCall(start.name);
    const item = this.#writer.openItem(kind, (id) => callItem(id, { ...start, argumentsJson: "" }, "in_progress"));
    this.#calls.set(start.callIndex, { ...item, start, takesText: kind === "ctc", argumentsJson: "" });
  }

  #continueCall({ callIndex, argumentsJson }: ToolCallDelta): void {
    const call = this.#calls.get(callIndex);
    if (call !== undefined) {
      if (call.takesText) {
        this.#writer.grow(argumentsJson.length);
      } else {
        this.#writer.writeDelta("response.function_call_arguments.delta", call, "", argumentsJson);
      }
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
    if (call.takesText) {
      this.#writeInput(call);
    } else {
      this.#writeArguments(call, status);
    }
    const { id, argumentsJson } = call;
    this.#writer.closeItem(call, callItem(id, { ...call.start, argumentsJson }, status));
  }

  #writeArguments(call: OpenCall, status: ItemStatus): void {
    if (call.argumentsJson === "" && status === "completed") {
      this.#writer.writeDelta("response.function_call_arguments.delta", call, "", "{}");
      call.argumentsJson = "{}";
    }
    const { id, outputIndex, argumentsJson } = call;
    const place = { item_id: id, output_index: outputIndex };
    this.#writer.write("response.function_call_arguments.done", { ...place, arguments: argumentsJson });
  }

  #writeInput(call: OpenCall): void {
    const input = textOfArguments(call.argumentsJson);
    const place = { item_id: call.id, output_index: call.outputIndex };
    this.#writer.writeDelta("response.custom_tool_call_input.delta", call, "", input);
    this.#writer.write("response.custom_tool_call_input.done", { ...place, input });
  }

  #end(usage: Usage | undefined): void {
    if (this.#ended || this.#finishReason === FinishReason.UNSPECIFIED) {
      return;
    }
    this.#ended = true;
    const end = writeResponseEnd(this.#finishReason);
    // What is open now is what the end cut.
    const status = end.status === "completed" ? "completed" : "incomplete";
    this.#closeThought("");
    this.#closeMessage(status);
    for (const call of this.#calls.values()) {
      this.#closeCall(call, status);
    }
    this.#writer.end(end, usage);
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
