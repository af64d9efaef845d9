import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import {
  endEvent,
  finishEvent,
  reasoningDelta,
  startEvent,
  textDelta,
  toolCallDelta,
  toolCallStart,
} from "../chat/chat-events.ts";
import { CodecError, type JsonObject, ProviderStreamError, type StreamDecoder } from "../codec.ts";
import { asArray, asEpochSeconds, asNumber, asObject, asString } from "../json/json-values.ts";
import { makeCallId } from "../openai-chat/make-call-id.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import { findEmbeddedError } from "./decode-error.ts";
import { readResponseEnd } from "./map-finish-reason.ts";
import { mapUsage } from "./map-usage.ts";
import { readLogprobs } from "./output-items.ts";
import { parseStreamEvent, type StreamEvent } from "./parse-stream-event.ts";

const MAX_ITEMS = 4096;
const MAX_PARTS = 4096;

type ItemKind = "message" | "reasoning" | "function_call" | "custom_tool_call" | "other";

/** What has been told of an item of the output. */
interface OpenItem {
  readonly kind: ItemKind;
  /** The call's place among the calls; -1 for other items. */
  readonly callIndex: number;
  /** The characters told of each part, by the part's index; calls have one part. */
  readonly told: number[];
  /** True once a thought was told as itself: then its summary repeats it. */
  hasThought: boolean;
  isDone: boolean;
}

/** Creates a decoder for one stream of a response. */
export function createStreamDecoder(): StreamDecoder {
  return new ResponsesStreamDecoder();
}

/**
 * Tells items by their place in the output, since the ids of items change within a stream at some proxies. What the
 * deltas left out is taken from the events that repeat the whole.
 */
class ResponsesStreamDecoder implements StreamDecoder {
  readonly #sse = createSseDecoder();
  readonly #items = new Map<number, OpenItem>();
  #events: ChatEvent[] = [];
  #id = "";
  #calls = 0;
  #started = false;
  #ended = false;

  push(bytes: Uint8Array): ChatEvent[] {
    return this.#decode(this.#sse.push(bytes));
  }

  end(): ChatEvent[] {
    return this.#decode(this.#sse.end());
  }

  #decode(messages: readonly SseEvent[]): ChatEvent[] {
    this.#events = [];
    for (const message of messages) {
      const event = this.#ended ? undefined : parseStreamEvent(message);
      if (event !== undefined) {
        this.#decodeEvent(event);
      }
    }
    return this.#events;
  }

  #decodeEvent({ type, body }: StreamEvent): void {
    switch (type) {
      case "response.created":
      case "response.in_progress":
        this.#start(asObject(body["response"]));
        break;
      case "response.output_item.added":
        this.#addItem(this.#indexOf(body), asObject(body["item"]) ?? {});
        break;
      case "response.output_item.done":
        this.#finishItem(this.#indexOf(body), asObject(body["item"]) ?? {});
        break;
      case "response.output_text.delta":
        this.#tellText(body, asString(body["delta"]), readLogprobs(asArray(body["logprobs"])));
        break;
      case "response.output_text.done":
        this.#tellText(body, this.#restOf(body, "content_index", body["text"]));
        break;
      case "response.refusal.delta":
        this.#tellRefusal(body, asString(body["delta"]));
        break;
      case "response.refusal.done":
        this.#tellRefusal(body, this.#restOf(body, "content_index", body["refusal"]));
        break;
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
        this.#tellThought(body, type === "response.reasoning_text.delta", asString(body["delta"]));
        break;
      case "response.function_call_arguments.delta":
      case "response.custom_tool_call_input.delta":
        this.#tellArguments(this.#items.get(this.#indexOf(body)), asString(body["delta"]));
        break;
      case "response.completed":
      case "response.incomplete":
        this.#complete(asObject(body["response"]) ?? {}, type);
        break;
      default:
        // What the provider's own tools do, parts that begin, texts repeated as a whole, and what is not known yet.
        break;
    }
  }

  #start(response: JsonObject | undefined): void {
    if (this.#started) {
      return;
    }
    this.#started = true;
    this.#id = asString(response?.["id"]);
    const created = asEpochSeconds(response?.["created_at"]);
    const createTime =
      created === undefined
        ? undefined
        : ({ $typeName: "google.protobuf.Timestamp", seconds: created, nanos: 0 } as const);
    this.#events.push(startEvent(this.#id, asString(response?.["model"]), createTime));
  }

  #indexOf(body: JsonObject): number {
    // Without an index, an event belongs to the item that came last.
    const index = asNumber(body["output_index"]) ?? Math.max(0, this.#items.size - 1);
    return checkIndex(index, MAX_ITEMS, "output_index");
  }

  #addItem(index: number, value: JsonObject): OpenItem {
    const known = this.#items.get(index);
    if (known !== undefined) {
      return known;
    }
    this.#start(undefined);
    const kind = kindOf(asString(value["type"]));
    const isCall = kind === "function_call" || kind === "custom_tool_call";
    const item = { kind, callIndex: isCall ? this.#calls++ : -1, told: [], hasThought: false, isDone: false };
    this.#items.set(index, item);
    if (isCall) {
      const id = asString(value["call_id"]) || makeCallId(this.#id, 0, item.callIndex);
      this.#events.push(toolCallStart(0, item.callIndex, { id, name: asString(value["name"]) }));
    }
    return item;
  }

  #finishItem(index: number, value: JsonObject): void {
    const item = this.#addItem(index, value);
    if (item.isDone) {
      return;
    }
    const place = { output_index: index };
    switch (item.kind) {
      case "message":
        for (const [contentIndex, content] of asArray(value["content"]).entries()) {
          const part = asObject(content) ?? {};
          const where = { ...place, content_index: contentIndex };
          this.#tellText(where, this.#restOf(where, "content_index", part["text"]));
          this.#tellRefusal(where, this.#restOf(where, "content_index", part["refusal"]));
        }
        break;
      case "reasoning":
        this.#finishThought(item, value, place);
        break;
      case "function_call":
        this.#tellArguments(item, this.#restOf(place, "", value["arguments"]));
        break;
      case "custom_tool_call":
        this.#tellArguments(item, this.#restOf(place, "", value["input"]));
        break;
      case "other":
        break;
    }
    this.#closeItem(item);
  }

  /** Completes the arguments of a call: a text in quotes for a custom tool, an object where none were sent. */
  #closeItem(item: OpenItem): void {
    if (item.isDone) {
      return;
    }
    item.isDone = true;
    if (item.kind === "custom_tool_call") {
      this.#openCustomInput(item);
      this.#events.push(toolCallDelta(0, item.callIndex, '"}'));
    } else if (item.kind === "function_call" && item.told.length === 0) {
      this.#events.push(toolCallDelta(0, item.callIndex, "{}"));
    }
  }

  #openCustomInput(item: OpenItem): void {
    if (item.told.length === 0) {
      item.told[0] = 0;
      this.#events.push(toolCallDelta(0, item.callIndex, '{"input":"'));
    }
  }

  #finishThought(item: OpenItem, value: JsonObject, place: JsonObject): void {
    const thoughts = asArray(value["content"]);
    const isThought = item.hasThought || (item.told.length === 0 && thoughts.length > 0);
    for (const [index, part] of (isThought ? thoughts : asArray(value["summary"])).entries()) {
      const key = isThought ? "content_index" : "summary_index";
      const where = { ...place, [key]: index };
      this.#tellThought(where, isThought, this.#restOf(where, key, asObject(part)?.["text"]));
    }
    const signature = asString(value["encrypted_content"]);
    if (signature !== "") {
      this.#events.push(reasoningDelta(0, "", signature));
    }
  }

  /** What of a whole text has not been told; nothing when the text is none, or shorter than what was told. */
  #restOf(body: JsonObject, key: string, whole: JsonObject[string]): string {
    const told = this.#items.get(this.#indexOf(body))?.told[key === "" ? 0 : partIndex(body, key)] ?? 0;
    return asString(whole).slice(told);
  }

  #tellText(body: JsonObject, text: string, logprobsJson = ""): void {
    if (text !== "" || logprobsJson !== "") {
      this.#note(this.#addItem(this.#indexOf(body), MESSAGE), partIndex(body, "content_index"), text);
      this.#events.push(textDelta(0, text, "", logprobsJson));
    }
  }

  #tellRefusal(body: JsonObject, text: string): void {
    if (text !== "") {
      this.#note(this.#addItem(this.#indexOf(body), MESSAGE), partIndex(body, "content_index"), text);
      this.#events.push(refusalDelta(text));
    }
  }

  #tellThought(body: JsonObject, isThought: boolean, text: string): void {
    const item = this.#addItem(this.#indexOf(body), REASONING);
    if (text === "" || (item.hasThought && !isThought)) {
      return;
    }
    item.hasThought ||= isThought;
    const index = partIndex(body, isThought ? "content_index" : "summary_index");
    const isNext = !isThought && index > 0 && item.told[index] === undefined;
    this.#note(item, index, text);
    this.#events.push(reasoningDelta(0, isNext ? `\n\n${text}` : text));
  }

  #tellArguments(item: OpenItem | undefined, text: string): void {
    // The name of a call that was not begun is not known yet; its arguments come again with the whole item.
    if (item === undefined || item.callIndex < 0 || item.isDone || text === "") {
      return;
    }
    if (item.kind === "custom_tool_call") {
      this.#openCustomInput(item);
      this.#events.push(toolCallDelta(0, item.callIndex, JSON.stringify(text).slice(1, -1)));
    } else {
      this.#events.push(toolCallDelta(0, item.callIndex, text));
    }
    this.#note(item, 0, text);
  }

  #note(item: OpenItem, part: number, text: string): void {
    item.told[part] = (item.told[part] ?? 0) + text.length;
  }

  #complete(response: JsonObject, type: string): void {
    const error = findEmbeddedError(response);
    if (error !== undefined) {
      throw new ProviderStreamError(error);
    }
    this.#start(response);
    if (this.#items.size === 0) {
      for (const [index, item] of asArray(response["output"]).entries()) {
        this.#finishItem(checkIndex(index, MAX_ITEMS, "output"), asObject(item) ?? {});
      }
    }
    for (const item of this.#items.values()) {
      this.#closeItem(item);
    }
    // The event says how the response ended, should its status be missing; the items say whether there are calls.
    const status = asString(response["status"]) || type.slice("response.".length);
    const calls = this.#calls > 0 ? [{ type: "function_call" }] : [];
    const { finishReason, native } = readResponseEnd({ ...response, status, output: calls });
    this.#ended = true;
    this.#events.push(finishEvent(0, finishReason, native), endEvent(mapUsage(response["usage"])));
  }
}

const MESSAGE: JsonObject = { type: "message" };
const REASONING: JsonObject = { type: "reasoning" };

function kindOf(type: string): ItemKind {
  switch (type) {
    case "message":
    case "reasoning":
    case "function_call":
    case "custom_tool_call":
      return type;
    default:
      return "other";
  }
}

function partIndex(body: JsonObject, key: string): number {
  return checkIndex(asNumber(body[key]) ?? 0, MAX_PARTS, key);
}

function checkIndex(index: number, limit: number, name: string): number {
  if (!Number.isInteger(index) || index < 0 || index >= limit) {
    throw new CodecError(`the stream holds an event with an impossible ${name}`, {
      param: name,
      code: "invalid_value",
    });
  }
  return index;
}

function refusalDelta(text: string): ChatEvent {
  return {
    $typeName: "penstock.chat.v1.ChatEvent",
    event: {
      case: "refusalDelta",
      value: { $typeName: "penstock.chat.v1.RefusalDelta", candidateIndex: 0, text },
    },
  };
}
