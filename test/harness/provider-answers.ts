import type { AnswerPart, ProviderRequest, ScriptedAnswer } from "./fake-provider.ts";

/** What a good answer says. */
export interface AnswerOptions {
  /** `Hello!` unless given. */
  readonly text?: string;
  /** 10 unless given. */
  readonly inputTokens?: number;
  /** 5 unless given. */
  readonly outputTokens?: number;
}

const eventStream = { "content-type": "text/event-stream" };

/** A complete answer with usage, in the dialect of the request's path and streamed if it asks for that. */
export function goodAnswer(request: ProviderRequest, options: AnswerOptions = {}): ScriptedAnswer {
  const { text = "Hello!", inputTokens = 10, outputTokens = 5 } = options;
  const said = { text, inputTokens, outputTokens, model: request.model };
  if (request.path.includes(":batchEmbedContents")) {
    const { requests } = request.json;
    const count = Array.isArray(requests) ? requests.length : 1;
    return json({ embeddings: Array.from({ length: count }, () => ({ values: vector })) });
  }
  if (request.path.includes("enerateContent")) {
    return request.stream ? stream(geminiEvents(said)) : json(geminiEvents(said).at(-1));
  }
  if (request.path.endsWith("/messages")) {
    return request.stream ? namedStream(anthropicEvents(said)) : json(anthropicMessage(said));
  }
  if (request.path.endsWith("/embeddings")) {
    return json(openAiEmbeddings(request, inputTokens));
  }
  return request.stream ? openAiStream(said) : json(openAiCompletion(said));
}

/** An error in OpenAI's shape. */
export function errorAnswer(status: number, headers: Readonly<Record<string, string>> = {}): ScriptedAnswer {
  return json({ error: { message: `scripted ${status}`, type: "scripted", param: null, code: null } }, status, headers);
}

/** A stream of OpenAI chunks: a role, the text in `pieces`, a finish reason, usage, and the final marker. */
export function openAiStream(
  options: AnswerOptions & { readonly pieces?: readonly string[]; readonly model?: string },
) {
  return stream([...openAiChunks(options), "[DONE]"]);
}

/** The chunks of a complete OpenAI stream, without its final marker. The first has a role and no content. */
export function openAiChunks(
  options: AnswerOptions & { readonly pieces?: readonly string[]; readonly model?: string },
): readonly object[] {
  const { text = "Hello!", inputTokens = 10, outputTokens = 5, model = "fake" } = options;
  const pieces = options.pieces ?? text.split(/(?<= )/);
  const chunk = (choices: readonly object[], usage: object | null): object => ({
    id: "chatcmpl-fake",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model,
    choices,
    usage,
  });
  const choice = (delta: object, finish: string | null): object => ({ index: 0, delta, finish_reason: finish });
  return [
    chunk([choice({ role: "assistant", content: "" }, null)], null),
    ...pieces.map((piece) => chunk([choice({ content: piece }, null)], null)),
    chunk([choice({}, "stop")], null),
    chunk([], openAiUsage(inputTokens, outputTokens)),
  ];
}

/** A `data:` line of an event stream with the empty line that ends it. */
export function sse(data: object | string): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

/** An event stream of these events, one part each, then its proper end. */
export function stream(events: readonly (object | string)[]): ScriptedAnswer {
  return { headers: eventStream, parts: events.map(sse) };
}

/** One JSON document. */
export function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): ScriptedAnswer {
  return { status, headers: { "content-type": "application/json", ...headers }, parts: [JSON.stringify(value)] };
}

/** The same answer, but the connection is closed after this many bytes of its body. */
export function cutAfter(answer: ScriptedAnswer, bytes: number): ScriptedAnswer {
  const parts: AnswerPart[] = [];
  let left = bytes;
  for (const part of answer.parts ?? []) {
    if (left <= 0) {
      break;
    }
    if (typeof part === "number" || part instanceof Promise) {
      parts.push(part);
    } else {
      const kept = Buffer.from(part).subarray(0, left);
      left -= kept.length;
      parts.push(kept);
    }
  }
  return { ...answer, parts, ending: "cut" };
}

/** The same answer, its body a few bytes at a time with a pause before each. */
export function trickle(answer: ScriptedAnswer, bytes: number, pauseMs: number): ScriptedAnswer {
  const body = Buffer.concat(
    (answer.parts ?? []).flatMap((part) =>
      typeof part === "number" || part instanceof Promise ? [] : [Buffer.from(part)],
    ),
  );
  const pieces = Array.from({ length: Math.ceil(body.length / bytes) }, (_, index) =>
    body.subarray(index * bytes, (index + 1) * bytes),
  );
  return { ...answer, parts: pieces.flatMap((piece) => [pauseMs, piece]) };
}

/** Takes the request and says nothing, for ever. */
export const silent: ScriptedAnswer = { ending: "stall" };

interface Said {
  readonly text: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly model: string;
}

const vector = [0.25, -0.5, 0.125];

function namedStream(events: readonly NamedEvent[]): ScriptedAnswer {
  return { headers: eventStream, parts: events.map((event) => `event: ${event.type}\n${sse(event)}`) };
}

function openAiUsage(inputTokens: number, outputTokens: number): object {
  return { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
}

function openAiCompletion({ text, inputTokens, outputTokens, model }: Said): object {
  return {
    id: "chatcmpl-fake",
    object: "chat.completion",
    created: 1_700_000_000,
    model,
    choices: [{ index: 0, message: { role: "assistant", content: text, refusal: null }, finish_reason: "stop" }],
    usage: openAiUsage(inputTokens, outputTokens),
  };
}

function openAiEmbeddings(request: ProviderRequest, inputTokens: number): object {
  const { input, encoding_format: format } = request.json;
  const count = Array.isArray(input) && typeof input[0] !== "number" ? input.length : 1;
  const floats = Buffer.from(new Float32Array(vector).buffer);
  const embedding = format === "base64" ? floats.toString("base64") : vector;
  return {
    object: "list",
    model: request.model,
    data: Array.from({ length: count }, (_, index) => ({ object: "embedding", index, embedding })),
    usage: { prompt_tokens: inputTokens, total_tokens: inputTokens },
  };
}

function anthropicMessage({ text, inputTokens, outputTokens, model }: Said): object {
  return {
    id: "msg_fake",
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: outputTokens },
  };
}

interface NamedEvent {
  readonly type: string;
  readonly [member: string]: unknown;
}

function anthropicEvents(said: Said): readonly NamedEvent[] {
  const usage = { input_tokens: said.inputTokens, output_tokens: 1 };
  return [
    { type: "message_start", message: { ...anthropicMessage(said), content: [], stop_reason: null, usage } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: said.text } },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: said.outputTokens },
    },
    { type: "message_stop" },
  ];
}

function geminiEvents({ text, inputTokens, outputTokens, model }: Said): readonly object[] {
  return [
    {
      candidates: [{ content: { parts: [{ text }], role: "model" }, finishReason: "STOP", index: 0 }],
      usageMetadata: {
        promptTokenCount: inputTokens,
        candidatesTokenCount: outputTokens,
        totalTokenCount: inputTokens + outputTokens,
      },
      modelVersion: model,
      responseId: "fake",
    },
  ];
}
