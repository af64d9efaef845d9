import { Buffer } from "node:buffer";

/** What every answer of the upstream uses, in tokens. */
export const answerUsage = { inputTokens: 20, outputTokens: 100 } as const;

/** The events of a streamed answer that hold a chunk, without usage and the final marker. */
export const chunksPerStream = 100;

const usage = {
  prompt_tokens: answerUsage.inputTokens,
  completion_tokens: answerUsage.outputTokens,
  total_tokens: answerUsage.inputTokens + answerUsage.outputTokens,
};

const chunkFrame = {
  id: "chatcmpl-bench0000000000000000000001",
  object: "chat.completion.chunk",
  created: 1_760_000_000,
  model: "bench",
  system_fingerprint: null,
};

const sentence = "The gate opens, the water falls, the wheel turns and a lamp is lit in the valley. ";

/** A complete chat completion of about 0.7 KB as an HTTP response, head and body in one piece. */
export const wholeAnswer: Buffer = httpResponse(
  JSON.stringify({
    id: "chatcmpl-bench0000000000000000000001",
    object: "chat.completion",
    created: 1_760_000_000,
    model: "bench",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: sentence.repeat(5).trim(), refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage,
    system_fingerprint: null,
  }),
);

/** The head of a streamed answer. */
export const streamHead = Buffer.from(
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
);

/**
 * The events of a streamed answer, each as one HTTP chunk. The first has text beside the role, since a gateway that can
 * fail over holds an answer back until there is some, and the first byte is to show the gateway, not the gap.
 */
export const streamChunks: readonly Buffer[] = Array.from({ length: chunksPerStream }, (_, index) =>
  httpChunk(
    streamEvent(
      index === chunksPerStream - 1
        ? { delta: {}, finish_reason: "stop" }
        : { delta: { ...(index === 0 ? { role: "assistant" } : {}), content: " drop" }, finish_reason: null },
    ),
  ),
);

/** What follows the events: the usage, the final marker and the end of the body. */
export const streamEnd: Buffer = Buffer.concat([
  httpChunk(`data: ${JSON.stringify({ ...chunkFrame, choices: [], usage })}\n\n`),
  httpChunk("data: [DONE]\n\n"),
  Buffer.from("0\r\n\r\n"),
]);

/** A whole HTTP response with a JSON body. */
export function httpResponse(body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function streamEvent(choice: object): string {
  return `data: ${JSON.stringify({ ...chunkFrame, choices: [{ index: 0, ...choice, logprobs: null }] })}\n\n`;
}

function httpChunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}
