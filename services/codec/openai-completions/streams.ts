import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { endEvent, finishEvent, startEvent, textDelta } from "../chat/chat-events.ts";
import type { EncodeResponseOptions, JsonObject, StreamDecoder, StreamEncoder } from "../codec.ts";
import { asArray, asEpochSeconds, asIndex, asObject, asString } from "../json/json-values.ts";
import { readUsage } from "../openai-chat/decode-response.ts";
import { mapFinishReason, writeFinishReason } from "../openai-chat/map-finish-reason.ts";
import { writeUsage } from "../openai-chat/map-usage.ts";
import { parseChunk } from "../openai-chat/stream-decoder.ts";
import { createSseDecoder, type SseEvent } from "../sse/sse-decoder.ts";
import { writeSseData } from "../sse/write-sse.ts";

/** As many choices as OpenAI makes for one request, with some room. */
const MOST_CANDIDATES = 4_096;

/** Creates a decoder for one stream of completion chunks. */
export function createStreamDecoder(): StreamDecoder {
  const sse = createSseDecoder();
  const open = new Set<number>();
  let started = false;
  let anyFinished = false;
  let ended = false;
  let usage: Usage | undefined;

  function complete(events: ChatEvent[]): void {
    if (!ended && anyFinished && open.size === 0) {
      ended = true;
      events.push(endEvent(usage));
    }
  }

  function decodeChoice(choice: JsonObject, events: ChatEvent[]): void {
    const index = asIndex(choice["index"]) ?? 0;
    const text = asString(choice["text"]);
    const native = asString(choice["finish_reason"]);
    if (native === "" && open.size < MOST_CANDIDATES) {
      open.add(index);
    }
    if (text !== "") {
      events.push(textDelta(index, text));
    }
    if (native !== "") {
      open.delete(index);
      anyFinished = true;
      events.push(finishEvent(index, mapFinishReason(native), native));
    }
  }

  function decode(messages: readonly SseEvent[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const message of messages) {
      if (ended) {
        break;
      }
      if (message.data.trim() === "[DONE]") {
        complete(events);
        ended = true;
        break;
      }
      const chunk = parseChunk(message);
      usage = readUsage(chunk) ?? usage;
      if (!started) {
        started = true;
        const seconds = asEpochSeconds(chunk["created"]);
        events.push(
          startEvent(
            asString(chunk["id"]),
            asString(chunk["model"]),
            seconds === undefined ? undefined : { $typeName: "google.protobuf.Timestamp", seconds, nanos: 0 },
          ),
        );
      }
      for (const choice of asArray(chunk["choices"])) {
        decodeChoice(asObject(choice) ?? {}, events);
      }
    }
    return events;
  }

  return {
    push: (bytes) => decode(sse.push(bytes)),
    end() {
      const events = decode(sse.end());
      complete(events);
      return events;
    },
  };
}

/** Creates an encoder for one stream of completion chunks. Thoughts and calls have no place in it. */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  const usageMember = options.includeUsage ? ',"usage":null' : "";
  let head = writeHead(options.fallbackId, options.fallbackCreated, "");

  function chunk(index: number, text: string, finishReason: string | null): string {
    const choice = `{"text":${JSON.stringify(text)},"index":${index},"logprobs":null,"finish_reason":${JSON.stringify(finishReason)}}`;
    return writeSseData(`${head}"choices":[${choice}]${usageMember}}`);
  }

  function encodeEvent({ event }: ChatEvent): string {
    switch (event.case) {
      case "start": {
        const { id, model, createTime } = event.value;
        const created = createTime === undefined ? options.fallbackCreated : Number(createTime.seconds);
        head = writeHead(id || options.fallbackId, created, model);
        return "";
      }
      case "textDelta":
      case "refusalDelta":
        return event.value.text === "" ? "" : chunk(event.value.candidateIndex, event.value.text, null);
      case "finish":
        return chunk(event.value.candidateIndex, "", writeFinishReason(event.value.finishReason));
      case "end": {
        const { usage } = event.value;
        const last =
          options.includeUsage && usage !== undefined
            ? writeSseData(`${head}"choices":[],"usage":${JSON.stringify(writeUsage(usage))}}`)
            : "";
        return last + writeSseData("[DONE]");
      }
      default:
        return "";
    }
  }

  return { encode: (events) => Buffer.from(events.map(encodeEvent).join(""), "utf8") };
}

/** The beginning that all chunks of a stream share, up to and including the comma before the choices. */
function writeHead(id: string, created: number, model: string): string {
  return `{"id":${JSON.stringify(id)},"object":"text_completion","created":${created},"model":${JSON.stringify(model)},`;
}
