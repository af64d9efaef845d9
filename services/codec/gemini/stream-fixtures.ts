import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { CollectedAnswer } from "../testing/collect-answer.ts";
import type { Json, JsonObject } from "../codec.ts";

/** A stream for tests, and what it says. */
export interface StreamFixture {
  readonly name: string;
  readonly bytes: Buffer;
  readonly expected: {
    readonly answer: Omit<CollectedAnswer, "usage">;
    readonly uncachedInputTokens: bigint;
    readonly outputTokens: bigint;
  };
}

const EMPTY_ANSWER: Omit<CollectedAnswer, "usage"> = {
  text: "",
  reasoning: "",
  signatures: [],
  toolCalls: [],
  finishReason: FinishReason.STOP,
  nativeFinishReason: "STOP",
  ended: true,
};

/** Events as Gemini writes them. */
export function sse(...chunks: readonly Json[]): Buffer {
  return Buffer.from(chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join(""));
}

/** Streams of all kinds of parts. */
export const streamFixtures: readonly StreamFixture[] = [
  {
    name: "text and cached tokens",
    bytes: sse(
      chunk([{ text: "Grüße " }], { promptTokenCount: 100, totalTokenCount: 100 }),
      chunk([{ text: '東京 😀 "finishReason" and "error"' }], { promptTokenCount: 100, candidatesTokenCount: 3 }),
      chunk([{ text: "", thoughtSignature: "sig" }], usageOf(100, 5, 7, 40), { finishReason: "STOP" }),
    ),
    expected: {
      answer: { ...EMPTY_ANSWER, text: 'Grüße 東京 😀 "finishReason" and "error"', signatures: ["text: sig"] },
      uncachedInputTokens: 60n,
      outputTokens: 12n,
    },
  },
  {
    name: "thoughts and parallel calls over several chunks",
    bytes: sse(
      chunk([{ text: "let me", thought: true }], { promptTokenCount: 9, totalTokenCount: 9 }),
      chunk([{ functionCall: { name: "now" }, thoughtSignature: "sig" }], usageOf(9, 4, 7)),
      chunk([{ functionCall: { name: "add", args: { a: 1, b: "é" }, id: "given" } }], usageOf(9, 8, 7)),
      chunk([{ text: "" }], usageOf(10, 8, 7), { finishReason: "STOP" }),
    ),
    expected: {
      answer: {
        ...EMPTY_ANSWER,
        reasoning: "let me",
        signatures: ["toolCall: sig"],
        toolCalls: [
          { id: "gcall_resp-1_0", name: "now", arguments: {} },
          { id: "given", name: "add", arguments: { a: 1, b: "é" } },
        ],
        finishReason: FinishReason.TOOL_CALLS,
      },
      uncachedInputTokens: 10n,
      outputTokens: 15n,
    },
  },
  {
    name: "a call whose arguments come in pieces, and the finish before the last part",
    bytes: sse(
      chunk([{ functionCall: { name: "book", willContinue: true } }]),
      chunk([
        {
          functionCall: {
            partialArgs: [{ jsonPath: "$.to.city", stringValue: "Ber", willContinue: true }],
            willContinue: true,
          },
        },
      ]),
      chunk([
        {
          functionCall: {
            partialArgs: [
              { jsonPath: "$.to.city", stringValue: "lin" },
              { jsonPath: "$.day", stringValue: "Mo" },
              { jsonPath: "$.day", stringValue: "Tu" },
            ],
            willContinue: true,
          },
        },
      ]),
      chunk([
        { functionCall: { partialArgs: [{ jsonPath: "$.seats[0]['row no']", numberValue: 4 }], willContinue: true } },
      ]),
      chunk(
        [{ functionCall: { partialArgs: [{ jsonPath: "$.seats[1]", boolValue: true }], willContinue: true } }],
        undefined,
        {
          finishReason: "STOP",
        },
      ),
      chunk([{ functionCall: {} }], usageOf(5, 6, 0)),
    ),
    expected: {
      answer: {
        ...EMPTY_ANSWER,
        toolCalls: [
          {
            id: "gcall_resp-1_0",
            name: "book",
            arguments: { to: { city: "Berlin" }, day: "Tu", seats: [{ "row no": 4 }, true] },
          },
        ],
        finishReason: FinishReason.TOOL_CALLS,
      },
      uncachedInputTokens: 5n,
      outputTokens: 6n,
    },
  },
  {
    name: "an answer that ran out of tokens while thinking",
    bytes: sse({
      candidates: [{ content: { role: "model" }, finishReason: "MAX_TOKENS", index: 0 }],
      usageMetadata: { promptTokenCount: 4, thoughtsTokenCount: 20, totalTokenCount: 24 },
    }),
    expected: {
      answer: { ...EMPTY_ANSWER, finishReason: FinishReason.LENGTH, nativeFinishReason: "MAX_TOKENS" },
      uncachedInputTokens: 4n,
      outputTokens: 20n,
    },
  },
  {
    name: "a filter that stops the answer",
    bytes: sse(chunk([{ text: "so" }], usageOf(4, 1, 0)), {
      promptFeedback: { blockReason: "SAFETY" },
      usageMetadata: usageOf(4, 2, 0),
    }),
    expected: {
      answer: {
        ...EMPTY_ANSWER,
        text: "so",
        finishReason: FinishReason.CONTENT_FILTER,
        nativeFinishReason: "SAFETY",
      },
      uncachedInputTokens: 4n,
      outputTokens: 2n,
    },
  },
  {
    name: "a prompt that was blocked",
    bytes: sse({ promptFeedback: { blockReason: "PROHIBITED_CONTENT" }, usageMetadata: usageOf(4, 0, 0) }),
    expected: {
      answer: { ...EMPTY_ANSWER, finishReason: FinishReason.CONTENT_FILTER, nativeFinishReason: "PROHIBITED_CONTENT" },
      uncachedInputTokens: 4n,
      outputTokens: 0n,
    },
  },
];

function chunk(parts: readonly Json[], usage?: JsonObject, more: JsonObject = {}): JsonObject {
  return {
    candidates: [{ content: { parts, role: "model" }, index: 0, ...more }],
    ...(usage === undefined ? {} : { usageMetadata: usage }),
    modelVersion: "gemini",
    responseId: "resp-1",
  };
}

function usageOf(prompt: number, candidates: number, thoughts: number, cached = 0): JsonObject {
  return {
    promptTokenCount: prompt,
    candidatesTokenCount: candidates,
    thoughtsTokenCount: thoughts,
    cachedContentTokenCount: cached,
    totalTokenCount: prompt + candidates + thoughts,
  };
}
