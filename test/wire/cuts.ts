import { Buffer } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import type { ChatCodec } from "#codec/codec.ts";
import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import { createBedrockConverseCodec } from "#codec/bedrock-converse/bedrock-converse-codec.ts";
import { createCohereCodec } from "#codec/cohere/cohere-codec.ts";
import { createGeminiCodec } from "#codec/gemini/gemini-codec.ts";
import { createOllamaCodec } from "#codec/ollama/ollama-codec.ts";
import { createOpenAiResponsesCodec } from "#codec/openai-responses/openai-responses-codec.ts";
import { createOpenAiChatCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import { CodecError, ProviderStreamError } from "#codec/codec.ts";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Recording } from "../harness/recordings.ts";
import type { WireDialect } from "./answer-facts.ts";
import { judgeProblems } from "./exceptions.ts";
import type { WireResult } from "./play-recordings.ts";
import { targetName, targetOf } from "./wire-targets.ts";

/** The column of the table. */
export const cutsColumn = "cuts";

const codecs: { readonly [D in WireDialect]: ChatCodec } = {
  openai: createOpenAiChatCodec({ extensions: true }),
  anthropic: createAnthropicMessagesCodec(),
  gemini: createGeminiCodec(),
  cohere: createCohereCodec(),
  bedrock: createBedrockConverseCodec(),
  ollama: createOllamaCodec(),
  responses: createOpenAiResponsesCodec(),
};

/**
 * Cuts every recorded stream at every byte, and gives the pieces to its dialect's decoder and observers: what they say
 * must not depend on it.
 */
export function cutStreams(recordings: readonly Recording[]): readonly WireResult[] {
  return recordings.flatMap((recording) => {
    const target = targetOf(recording);
    if (target === undefined || recording.transport !== "sse") {
      return [];
    }
    const problems = cutStream(codecs[target.dialect], recording.bytes, splitStream(recording));
    return [
      {
        id: recording.id,
        provider: targetName(recording),
        door: cutsColumn,
        ...judgeProblems(recording.id, problems),
      },
    ];
  });
}

function cutStream(codec: ChatCodec, bytes: Buffer, events: readonly Buffer[]): readonly string[] {
  const decoded = decode(codec, [bytes]);
  const observed = [false, true].map((stripUsage) => observe(codec, [bytes], stripUsage));
  const longest = Math.max(...events.map((event) => event.length));
  // Each pass cuts every event at one more byte, so that all passes together have cut the stream at each of its bytes.
  for (let at = 0; at <= longest; at++) {
    const pieces = at === 0 ? [...bytes].map((byte) => Buffer.of(byte)) : cutEvents(events, at);
    const where = at === 0 ? "into single bytes" : `at byte ${at} of its events`;
    if (!isDeepStrictEqual(decode(codec, pieces), decoded)) {
      return [`decoded otherwise when cut ${where}`];
    }
    for (const [index, stripUsage] of [false, true].entries()) {
      if (!isDeepStrictEqual(observe(codec, pieces, stripUsage), observed[index])) {
        return [`observed otherwise when cut ${where}${stripUsage ? ", with usage left out" : ""}`];
      }
    }
  }
  return [];
}

/** The events of a stream, each with all of its bytes. */
function splitStream({ bytes, contentType }: Recording): readonly Buffer[] {
  if (contentType === "application/vnd.amazon.eventstream") {
    const frames: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
      frames.push(bytes.subarray(at, at + bytes.readUInt32BE(at)));
    }
    return frames;
  }
  const border = contentType === "application/x-ndjson" ? /(?<=\n)/ : /(?<=\n\r?\n)/;
  return bytes
    .toString("latin1")
    .split(border)
    .map((event) => Buffer.from(event, "latin1"));
}

/** The bytes between one cut and the next: the end of an event and the beginning of the one after it. */
function cutEvents(events: readonly Buffer[], at: number): readonly Buffer[] {
  const pieces: Buffer[] = [];
  let begun: Buffer[] = [];
  for (const event of events) {
    if (event.length <= at) {
      begun.push(event);
      continue;
    }
    pieces.push(Buffer.concat([...begun, event.subarray(0, at)]));
    begun = [event.subarray(at)];
  }
  pieces.push(Buffer.concat(begun));
  return pieces;
}

function decode(codec: ChatCodec, pieces: readonly Buffer[]): unknown {
  const decoder = codec.createStreamDecoder();
  const events: ChatEvent[] = [];
  const failure = failureOf(() => {
    for (const piece of pieces) {
      events.push(...decoder.push(piece));
    }
    events.push(...decoder.end());
  });
  // What came before an error depends on how much of it came in one piece.
  return failure ?? events.map(({ event }) => event);
}

function observe(codec: ChatCodec, pieces: readonly Buffer[], stripUsage: boolean): unknown {
  const observer = codec.createStreamObserver({ stripUsage });
  const forwarded: Uint8Array[] = [];
  const failure = failureOf(() => {
    for (const piece of pieces) {
      forwarded.push(observer.push(piece));
    }
  });
  const { contentSeen, complete, usage, finishReason, pendingBytes } = observer;
  const told = failure === undefined ? Buffer.concat(forwarded).toString("latin1") : failure;
  return { told, contentSeen, complete, usage, finishReason, pendingBytes: failure === undefined ? pendingBytes : 0 };
}

/** The error that the stream has in it; undefined when it has none. */
function failureOf(run: () => void): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof ProviderStreamError || error instanceof CodecError) {
      return `${error.name}: ${error.message}`;
    }
    throw error;
  }
}
