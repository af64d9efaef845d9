import { Buffer } from "node:buffer";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import { listRecordings, readRecordingsOf } from "../harness/recordings.ts";
import { isChatApi } from "../wire/wire-targets.ts";

/** An answer of a provider as it was sent. */
export interface AnswerSeed {
  readonly name: string;
  /** The kind of provider in the configuration. */
  readonly kind: string;
  readonly model: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** A request at a door, by the path of the door. */
export interface RequestSeed {
  readonly name: string;
  readonly path: string;
  readonly rest: string;
  readonly bytes: Buffer;
}

/** What is damaged. */
export interface Seeds {
  readonly answers: readonly AnswerSeed[];
  readonly requests: readonly RequestSeed[];
}

const sse = "text/event-stream";
const json = "application/json";

/** The project's own seeds, and those of the recordings where they are. */
export function readSeeds(): Seeds {
  const rows = (listRecordings() ?? []).filter((row) => isChatApi(row.api));
  const recordings = readRecordingsOf(rows);
  return {
    answers: [
      ...ownAnswers,
      ...recordings.flatMap(({ id, provider, api, status, contentType, bytes }) => {
        const kind = kindOf(provider, api);
        return kind === undefined || status >= 300 || bytes.length > maxSeedBytes
          ? []
          : [{ name: id, kind, model: api.includes("awPredict") ? "claude-x" : "x", contentType, bytes }];
      }),
    ],
    requests: [
      ...ownRequests,
      ...recordings.flatMap(({ id, api, request }) => {
        const door = doorOf(api);
        const bytes = Buffer.from(JSON.stringify({ model: "x", ...request }));
        return door === undefined || request === undefined || bytes.length > maxSeedBytes
          ? []
          : [{ name: id, ...door, bytes }];
      }),
    ],
  };
}

/** Longer ones are mostly pictures, of which every mutant would be a copy. */
const maxSeedBytes = 64 * 1024;

function kindOf(provider: string, api: string): string | undefined {
  switch (api) {
    case "chat.completions":
      return "openai";
    case "responses":
      return "responses";
    case "messages":
      return "anthropic";
    case "generateContent":
    case "streamGenerateContent":
      return provider === "vertex" ? "vertex" : "gemini";
    case "rawPredict":
    case "streamRawPredict":
      return "vertex";
    case "converse":
    case "converse-stream":
      return "bedrock";
    case "v2.chat":
      return "cohere";
    case "api.chat":
      return "ollama";
    default:
      return undefined;
  }
}

function doorOf(api: string): Pick<RequestSeed, "path" | "rest"> | undefined {
  switch (api) {
    case "chat.completions":
      return { path: "/chat/completions", rest: "" };
    case "responses":
      return { path: "/responses", rest: "" };
    case "messages":
      return { path: "/messages", rest: "" };
    case "generateContent":
      return { path: "/v1beta/models/", rest: "x:generateContent" };
    case "streamGenerateContent":
      return { path: "/v1beta/models/", rest: "x:streamGenerateContent" };
    default:
      return undefined;
  }
}

const events = (...data: readonly object[]): Buffer =>
  Buffer.from(data.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
const named = (...data: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[]): Buffer =>
  Buffer.from(data.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
const call = { id: "call_1", type: "function", function: { name: "get", arguments: '{"city":"Ulm"}' } };
const openAiUsage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
const claudeUsage = { input_tokens: 3, output_tokens: 5 };

const ownAnswers: readonly AnswerSeed[] = [
  seed("openai", json, {
    id: "c",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [
      { index: 0, message: { role: "assistant", content: "Hi", tool_calls: [call] }, finish_reason: "tool_calls" },
    ],
    usage: openAiUsage,
  }),
  seed(
    "openai",
    sse,
    Buffer.concat([
      events(
        {
          id: "c",
          object: "chat.completion.chunk",
          choices: [{ index: 0, delta: { role: "assistant", content: "" } }],
        },
        { choices: [{ index: 0, delta: { content: "Hi " } }] },
        { choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }] },
        { choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] },
        { choices: [], usage: openAiUsage },
      ),
      Buffer.from("data: [DONE]\n\n"),
    ]),
  ),
  seed("anthropic", json, {
    id: "m",
    type: "message",
    role: "assistant",
    model: "c",
    content: [
      { type: "thinking", thinking: "hm", signature: "c2ln" },
      { type: "text", text: "Hi" },
      { type: "tool_use", id: "t", name: "get", input: { city: "Ulm" } },
    ],
    stop_reason: "tool_use",
    usage: claudeUsage,
  }),
  seed(
    "anthropic",
    sse,
    named(
      { type: "message_start", message: { id: "m", role: "assistant", content: [], usage: claudeUsage } },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 5 } },
      { type: "message_stop" },
    ),
  ),
  seed("gemini", json, {
    candidates: [
      {
        content: { role: "model", parts: [{ text: "Hi" }, { functionCall: { name: "get", args: { city: "Ulm" } } }] },
        finishReason: "STOP",
      },
    ],
    usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 5, totalTokenCount: 8 },
  }),
  seed(
    "gemini",
    sse,
    events(
      { candidates: [{ content: { role: "model", parts: [{ text: "Hi" }] } }] },
      {
        candidates: [{ content: { parts: [{ text: "!" }] }, finishReason: "STOP" }],
        usageMetadata: { promptTokenCount: 3 },
      },
    ),
  ),
  seed("cohere", json, {
    id: "c",
    finish_reason: "COMPLETE",
    message: { role: "assistant", content: [{ type: "text", text: "Hi" }] },
    usage: { tokens: { input_tokens: 3, output_tokens: 5 } },
  }),
  seed(
    "responses",
    sse,
    named(
      { type: "response.created", sequence_number: 0, response: { id: "r", status: "in_progress", output: [] } },
      { type: "response.output_item.added", output_index: 0, item: { id: "i", type: "message", content: [] } },
      { type: "response.output_text.delta", item_id: "i", output_index: 0, content_index: 0, delta: "Hi" },
      { type: "response.completed", response: { id: "r", status: "completed", output: [], usage: claudeUsage } },
    ),
  ),
  seed(
    "ollama",
    "application/x-ndjson",
    Buffer.from(
      '{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n' +
        '{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":5,"prompt_eval_count":3}\n',
    ),
  ),
  seed(
    "bedrock",
    "application/vnd.amazon.eventstream",
    frames(
      ["messageStart", { role: "assistant" }],
      ["contentBlockDelta", { contentBlockIndex: 0, delta: { text: "Hi" } }],
      ["contentBlockStop", { contentBlockIndex: 0 }],
      ["messageStop", { stopReason: "end_turn" }],
      ["metadata", { usage: { inputTokens: 3, outputTokens: 5, totalTokens: 8 } }],
    ),
  ),
];

function seed(kind: string, contentType: string, body: Buffer | object): AnswerSeed {
  const bytes = body instanceof Buffer ? body : Buffer.from(JSON.stringify(body));
  return { name: `own ${kind} ${contentType}`, kind, model: "x", contentType, bytes };
}

function frames(...list: readonly (readonly [string, object])[]): Buffer {
  const codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes).toString("utf8"),
    (text) => Buffer.from(text, "utf8"),
  );
  return Buffer.concat(
    list.map(([type, payload]) =>
      codec.encode({
        headers: {
          ":message-type": { type: "string", value: "event" },
          ":event-type": { type: "string", value: type },
          ":content-type": { type: "string", value: json },
        },
        body: Buffer.from(JSON.stringify(payload)),
      }),
    ),
  );
}

const tool = {
  name: "get",
  description: "d",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

const ownRequests: readonly RequestSeed[] = [
  request("/chat/completions", "", {
    model: "x",
    stream: true,
    max_tokens: 9,
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: [{ type: "text", text: "u" }] },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "r" },
    ],
    tools: [{ type: "function", function: tool }],
  }),
  request("/completions", "", { model: "x", prompt: "p", max_tokens: 9, stop: ["a"] }),
  request("/responses", "", {
    model: "x",
    instructions: "i",
    input: [{ role: "user", content: [{ type: "input_text", text: "u" }] }],
    tools: [{ type: "function", ...tool }],
  }),
  request("/messages", "", {
    model: "x",
    max_tokens: 9,
    system: "s",
    messages: [{ role: "user", content: [{ type: "text", text: "u", cache_control: { type: "ephemeral" } }] }],
    tools: [{ name: "get", input_schema: tool.parameters }],
  }),
  request("/v1beta/models/", "x:generateContent", {
    contents: [{ role: "user", parts: [{ text: "u" }] }],
    generationConfig: { maxOutputTokens: 9, stopSequences: ["a"] },
    tools: [{ functionDeclarations: [tool] }],
  }),
  request("/embeddings", "", { model: "x", input: ["a", "b"] }),
  request("/rerank", "", { model: "x", query: "q", documents: ["a", { text: "b" }], top_n: 1 }),
];

function request(path: string, rest: string, body: object): RequestSeed {
  return { name: `own ${path}`, path, rest, bytes: Buffer.from(JSON.stringify(body)) };
}
