import type { ChatRequest, Part } from "#gen/penstock/chat/v1/chat_pb.ts";

/** What of a conversation is counted as tokens. */
export interface CountableChat {
  /** Everything that is text, in order. */
  readonly texts: readonly string[];
  /** What pictures, sounds and documents usually come to, and what frames each message and tool, in tokens. */
  readonly otherTokens: number;
}

// What providers document for a picture of usual size, a page of a document and a minute of sound.
const IMAGE_TOKENS = 1_000;
const BYTES_PER_FILE_TOKEN = 20;
const BYTES_PER_AUDIO_TOKEN = 500;
const UNKNOWN_FILE_TOKENS = 1_500;
const FRAME_TOKENS = 4;

/** Lists what of a conversation is counted as tokens. */
export function listTexts(request: ChatRequest): CountableChat {
  const texts: string[] = [];
  let otherTokens = FRAME_TOKENS * (request.messages.length + request.tools.length);
  const add = (part: Part): void => {
    const { content } = part;
    switch (content.case) {
      case "text":
      case "refusal":
      case "reasoning":
        texts.push(content.value.text);
        break;
      case "toolCall":
        texts.push(content.value.name, content.value.argumentsJson);
        break;
      case "toolResult":
        otherTokens += FRAME_TOKENS;
        content.value.parts.forEach(add);
        break;
      case "image":
        otherTokens += IMAGE_TOKENS;
        break;
      case "audio":
        otherTokens += Math.ceil(content.value.data.length / BYTES_PER_AUDIO_TOKEN);
        break;
      case "file":
        otherTokens +=
          content.value.source.case === "data"
            ? Math.ceil(content.value.source.value.length / BYTES_PER_FILE_TOKEN)
            : UNKNOWN_FILE_TOKENS;
        break;
      case undefined:
        break;
    }
  };
  for (const { parts } of request.messages) {
    parts.forEach(add);
  }
  for (const tool of request.tools) {
    texts.push(tool.name, tool.description, tool.parametersJson);
  }
  texts.push(request.responseFormat?.schemaJson ?? "");
  return { texts: texts.filter((text) => text !== ""), otherTokens };
}
