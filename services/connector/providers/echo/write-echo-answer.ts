import { hash } from "node:crypto";

/** What the echo provider reads of a request in OpenAI's dialect. */
export interface EchoRequest {
  readonly model: string;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly messages?: readonly { readonly content?: unknown }[];
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly input?: unknown;
  readonly dimensions?: number;
}

interface Echo {
  readonly id: string;
  readonly words: readonly string[];
  readonly finishReason: "stop" | "length";
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
}

/** The complete answer: the last message's words, as many as the output limit allows. One word is one token. */
export function echoAnswer(request: EchoRequest): string {
  const echo = echoOf(request);
  return JSON.stringify({
    id: echo.id,
    object: "chat.completion",
    created: 0,
    model: request.model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: echo.words.join(""), refusal: null },
        logprobs: null,
        finish_reason: echo.finishReason,
      },
    ],
    usage: echo.usage,
  });
}

/** The events of a streamed answer: the role, each word, the finish, the usage when asked for, the final marker. */
export function echoStreamChunks(request: EchoRequest): readonly string[] {
  const echo = echoOf(request);
  const chunk = (choices: readonly object[], usage?: object): string =>
    `data: ${JSON.stringify({
      id: echo.id,
      object: "chat.completion.chunk",
      created: 0,
      model: request.model,
      choices,
      ...(usage === undefined ? {} : { usage }),
    })}\n\n`;
  const delta = (value: object, finishReason: string | null = null): readonly object[] => [
    { index: 0, delta: value, logprobs: null, finish_reason: finishReason },
  ];
  return [
    chunk(delta({ role: "assistant", content: "" })),
    ...echo.words.map((word) => chunk(delta({ content: word }))),
    chunk(delta({}, echo.finishReason)),
    ...(request.stream_options?.include_usage === true ? [chunk([], echo.usage)] : []),
    "data: [DONE]\n\n",
  ];
}

/** One vector for each input, made of its digest. */
export function echoEmbeddings(request: EchoRequest): string {
  const inputs = (Array.isArray(request.input) ? request.input : [request.input]).map((input) =>
    typeof input === "string" ? input : JSON.stringify(input ?? ""),
  );
  const length = Math.min(Math.max(request.dimensions ?? 8, 1), 3072);
  const tokens = inputs.reduce((sum, input) => sum + wordsOf(input).length, 0);
  return JSON.stringify({
    object: "list",
    data: inputs.map((input, index) => ({ object: "embedding", index, embedding: vectorOf(input, length) })),
    model: request.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

function echoOf(request: EchoRequest): Echo {
  const texts = (request.messages ?? []).map((message) => textOf(message.content));
  const all = wordsOf(texts.at(-1) ?? "");
  const limit = request.max_completion_tokens ?? request.max_tokens ?? Number.POSITIVE_INFINITY;
  const words = all.slice(0, limit);
  const promptTokens = texts.reduce((sum, text) => sum + wordsOf(text).length, 0);
  return {
    id: `chatcmpl-${hash("sha256", texts.join("\n")).slice(0, 24)}`,
    words,
    finishReason: words.length < all.length ? "length" : "stop",
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: words.length,
      total_tokens: promptTokens + words.length,
    },
  };
}

function textOf(content: unknown): string {
  if (typeof content === "string") {
    return content;
  }
  if (!Array.isArray(content)) {
    return "";
  }
  return content
    .map((part: unknown) =>
      typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? part.text : "",
    )
    .join("");
}

/** Words with the space in front of them, as models count them roughly. */
function wordsOf(text: string): readonly string[] {
  return text.match(/\s*\S+\s*$|\s*\S+/g) ?? [];
}

function vectorOf(text: string, length: number): readonly number[] {
  const digest = hash("sha512", text, "buffer");
  return Array.from({ length }, (_, index) => ((digest[index % digest.length] ?? 0) - 127.5) / 127.5);
}
