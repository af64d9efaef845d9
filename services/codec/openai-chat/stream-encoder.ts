import type { ChatEvent, ReasoningDelta } from "#gen/penstock/chat/v1/chat_pb.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject, type StreamEncoder } from "../codec.ts";
import { writeSseData } from "../sse/write-sse.ts";
import { writeFinishReason } from "./map-finish-reason.ts";
import { writeUsage } from "./map-usage.ts";
import { writeThought } from "./reasoning-details.ts";
import { writeThoughtSignature } from "./thought-signature.ts";

const MAX_THOUGHT_LENGTH = 16 * 1024 * 1024;

/** Creates an encoder for one stream of chat completion chunks. */
export function createStreamEncoder(options: EncodeResponseOptions): StreamEncoder {
  return new OpenAiStreamEncoder(options);
}

interface ThoughtState {
  /** The text since the last signature: the entry that carries a signature repeats the whole thought. */
  text: string;
  index: number;
}

class OpenAiStreamEncoder implements StreamEncoder {
  readonly #options: EncodeResponseOptions;
  readonly #thoughts = new Map<number, ThoughtState>();
  readonly #begun = new Set<number>();
  #head: string;

  constructor(options: EncodeResponseOptions) {
    this.#options = options;
    this.#head = writeHead(options.fallbackId, options.fallbackCreated, "");
  }

  encode(events: readonly ChatEvent[]): Uint8Array {
    let text = "";
    for (const { event } of events) {
      text += this.#encodeEvent(event);
    }
    return Buffer.from(text, "utf8");
  }

  #encodeEvent(event: ChatEvent["event"]): string {
    switch (event.case) {
      case "start": {
        const { id, model, createTime } = event.value;
        const created = createTime === undefined ? this.#options.fallbackCreated : Number(createTime.seconds);
        this.#head = writeHead(id || this.#options.fallbackId, created, model);
        return this.#begin(0);
      }
      case "textDelta": {
        const { candidateIndex, text, signature, logprobsJson } = event.value;
        const extension = signature === "" ? "" : `,${JSON.stringify(writeThoughtSignature(signature)).slice(1, -1)}`;
        return this.#delta(candidateIndex, `{"content":${JSON.stringify(text)}${extension}}`, logprobsJson);
      }
      case "reasoningDelta":
        return this.#encodeReasoning(event.value);
      case "refusalDelta":
        return this.#delta(event.value.candidateIndex, `{"refusal":${JSON.stringify(event.value.text)}}`);
      case "toolCallStart": {
        const { candidateIndex, callIndex, id, name, signature } = event.value;
        const call = { index: callIndex, id, type: "function", function: { name, arguments: "" } };
        return this.#delta(
          candidateIndex,
          JSON.stringify({ tool_calls: [{ ...call, ...writeThoughtSignature(signature) }] }),
        );
      }
      case "toolCallDelta": {
        const { candidateIndex, callIndex, argumentsJson } = event.value;
        return this.#delta(
          candidateIndex,
          `{"tool_calls":[{"index":${callIndex},"function":{"arguments":${JSON.stringify(argumentsJson)}}}]}`,
        );
      }
      case "finish": {
        const { candidateIndex, finishReason } = event.value;
        return this.#delta(candidateIndex, "{}", "", JSON.stringify(writeFinishReason(finishReason)));
      }
      case "end":
        return this.#encodeUsage(event.value.usage && writeUsage(event.value.usage)) + writeSseData("[DONE]");
      case undefined:
        return "";
    }
  }

  #encodeReasoning(delta: ReasoningDelta): string {
    const { candidateIndex, text, signature, redactedData } = delta;
    const plain = text === "" ? "" : this.#delta(candidateIndex, `{"reasoning_content":${JSON.stringify(text)}}`);
    const thought = this.#thoughts.get(candidateIndex) ?? { text: "", index: 0 };
    this.#thoughts.set(candidateIndex, thought);
    thought.text += text;
    if (thought.text.length > MAX_THOUGHT_LENGTH) {
      throw new CodecError(`a thought is longer than ${MAX_THOUGHT_LENGTH} characters`, { code: "frame_too_large" });
    }
    if (signature === "" && redactedData === "") {
      return plain;
    }
    const detail = writeThought({ text: thought.text, signature, redactedData }, thought.index);
    thought.index++;
    if (redactedData === "") {
      thought.text = "";
    }
    return plain + this.#delta(candidateIndex, JSON.stringify({ reasoning_details: [detail] }));
  }

  #encodeUsage(usage: JsonObject | undefined): string {
    if (!this.#options.includeUsage || usage === undefined) {
      return "";
    }
    return writeSseData(`${this.#head}"choices":[],"usage":${JSON.stringify(usage)}}`);
  }

  /** Writes a chunk of a candidate, and before its first one the chunk that names the role. */
  #delta(candidateIndex: number, delta: string, logprobsJson = "", finishReason = "null"): string {
    return this.#begin(candidateIndex) + this.#chunk(candidateIndex, delta, logprobsJson, finishReason);
  }

  #begin(candidateIndex: number): string {
    if (this.#begun.has(candidateIndex)) {
      return "";
    }
    this.#begun.add(candidateIndex);
    return this.#chunk(candidateIndex, '{"role":"assistant","content":""}', "", "null");
  }

  #chunk(candidateIndex: number, delta: string, logprobsJson: string, finishReason: string): string {
    const choice = `{"index":${candidateIndex},"delta":${delta},"logprobs":${logprobsJson || "null"},"finish_reason":${finishReason}}`;
    // OpenAI sends a null usage with every chunk of a stream that will report it.
    const usage = this.#options.includeUsage ? ',"usage":null' : "";
    return writeSseData(`${this.#head}"choices":[${choice}]${usage}}`);
  }
}

/** The beginning that all chunks of a stream share, up to and including the comma before the choices. */
function writeHead(id: string, created: number, model: string): string {
  return `{"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(model)},`;
}
