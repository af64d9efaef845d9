import type { JsonObject } from "#codec/codec.ts";

/** What a part that only names its content can come to, in tokens: the largest that any provider counts. */
export const tokensOfReference = { image: 20_000n, audio: 100_000n, file: 400_000n } as const;

/**
 * A number of input tokens that no tokenizer exceeds: the bytes of the body, since no token is shorter than a byte, and
 * a fixed number for each picture, sound or document that the body only refers to.
 */
export function boundInputTokens(bodyBytes: number, body: JsonObject): bigint {
  const { messages } = body;
  let references = 0n;
  if (Array.isArray(messages)) {
    for (const message of messages) {
      references += boundOfMessage(message);
    }
  }
  return BigInt(bodyBytes) + references;
}

function boundOfMessage(message: unknown): bigint {
  if (typeof message !== "object" || message === null || !("content" in message) || !Array.isArray(message.content)) {
    return 0n;
  }
  let sum = 0n;
  for (const part of message.content as readonly unknown[]) {
    const type = typeof part === "object" && part !== null && "type" in part ? part.type : undefined;
    if (type === "image_url") {
      sum += tokensOfReference.image;
    } else if (type === "input_audio") {
      sum += tokensOfReference.audio;
    } else if (type === "file") {
      sum += tokensOfReference.file;
    }
  }
  return sum;
}
