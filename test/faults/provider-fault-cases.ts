import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { openAiChunks, sse } from "../harness/provider-answers.ts";
import { type RawAnswer, rawAnswer, rawChunk, rawHead } from "./raw-provider.ts";

/** A provider's fault and what the caller must get. */
export interface ProviderFault {
  /** What the provider does, as the end of a sentence that begins with "a provider that". */
  readonly name: string;
  readonly answer: RawAnswer;
  readonly stream?: boolean;
  /** The status and code before content; `cut` when a stream has begun and ends with an error event. */
  readonly expect: { readonly status: number; readonly code: string | null } | "cut";
}

/** A good answer in one piece. */
export const completion = {
  id: "chatcmpl-raw",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "raw",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello!" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
};
const whole = JSON.stringify(completion);

/** The head of an event stream that ends with its connection. */
export const streamHead = rawHead(["connection: close"], "text/event-stream");
const chunkedStreamHead = rawHead(["transfer-encoding: chunked"], "text/event-stream");
const events = openAiChunks({ pieces: ["one ", "two"] }).map(sse);
/** A role and a first piece of text: from here on the answer has begun. */
const begun = events.slice(0, 2).join("");

const malformed = { status: 502, code: "upstream_malformed" } as const;
const truncated = { status: 502, code: "upstream_truncated" } as const;
const failed = { status: 502, code: "upstream_error" } as const;

/** Answers in one piece. */
export const wholeFaults: readonly ProviderFault[] = [
  { name: "answers 200 with HTML", answer: rawAnswer("<html>504</html>", { type: "text/html" }), expect: malformed },
  { name: "answers 200 with HTML and calls it JSON", answer: rawAnswer("<html>504</html>"), expect: malformed },
  { name: "answers 200 with nothing", answer: rawAnswer(""), expect: malformed },
  { name: "answers 200 with a list", answer: rawAnswer("[]"), expect: malformed },
  { name: "answers 200 with null", answer: rawAnswer("null"), expect: malformed },
  {
    name: "answers 200 with an error",
    answer: rawAnswer('{"error":{"message":"busy","type":"server_error","code":null}}'),
    expect: failed,
  },
  {
    name: "answers 200 with an error about the rate",
    answer: rawAnswer('{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}'),
    expect: { status: 429, code: "rate_limit_exceeded" },
  },
  {
    name: "announces more than it sends",
    answer: { parts: [rawHead([`content-length: ${whole.length + 10}`]), whole], ending: "end" },
    expect: truncated,
  },
  {
    name: "announces less than it sends",
    answer: { parts: [rawHead([`content-length: ${whole.length - 10}`]), whole] },
    expect: malformed,
  },
  {
    name: "cuts its document and closes properly",
    answer: { parts: [rawHead(["connection: close"]), whole.slice(0, 60)], ending: "end" },
    expect: malformed,
  },
  {
    name: "resets the connection in the middle of its document",
    answer: { parts: [rawHead([`content-length: ${whole.length}`]), whole.slice(0, 60), 20], ending: "reset" },
    expect: truncated,
  },
  {
    name: "sends a chunk whose size is no number",
    answer: { parts: [rawHead(["transfer-encoding: chunked"]), `zz\r\n${whole}\r\n0\r\n\r\n`] },
    expect: truncated,
  },
  {
    name: "ends before its last chunk",
    answer: { parts: [rawHead(["transfer-encoding: chunked"]), rawChunk(whole)], ending: "end" },
    expect: truncated,
  },
  {
    name: "sends gzip to one who asked for none",
    answer: rawAnswer(gzipSync(whole), { headers: ["content-encoding: gzip"] }),
    expect: malformed,
  },
  { name: "does not speak HTTP", answer: { parts: ["SSH-2.0-OpenSSH_9.9\r\n"] }, expect: truncated },
  { name: "says nothing and closes", answer: { parts: [], ending: "end" }, expect: truncated },
  {
    name: "sends a header of a megabyte",
    answer: { parts: [rawHead([`x-large: ${"x".repeat(1024 * 1024)}`, "content-length: 2"]), "{}"] },
    expect: truncated,
  },
  {
    name: "says nothing at all",
    answer: { parts: [] },
    expect: { status: 504, code: "upstream_timeout" },
  },
  {
    name: "stops in the middle of its document",
    answer: { parts: [rawHead([`content-length: ${whole.length}`]), whole.slice(0, 60)] },
    expect: { status: 504, code: "upstream_timeout" },
  },
  {
    name: "refuses with a page of a megabyte",
    answer: rawAnswer("x".repeat(1024 * 1024), { status: "500 Oops", type: "text/html" }),
    expect: failed,
  },
  {
    name: "refuses with half a page",
    answer: { parts: [rawHead(["content-length: 100"], "text/html", "500 Oops"), "<html>"], ending: "end" },
    expect: failed,
  },
  {
    name: "refuses the gateway's own account",
    answer: rawAnswer('{"error":{"message":"no","type":"invalid_request_error","code":"invalid_api_key"}}', {
      status: "401 Unauthorized",
    }),
    expect: { status: 502, code: "upstream_auth_failed" },
  },
];

/** Answers in a stream. */
export const streamFaults: readonly ProviderFault[] = [
  {
    name: "answers a stream with HTML",
    answer: rawAnswer("<html>504</html>", { type: "text/html" }),
    expect: malformed,
  },
  {
    name: "answers a stream with an error in one piece",
    answer: rawAnswer('{"error":{"message":"busy","type":"server_error","code":null}}'),
    expect: failed,
  },
  {
    name: "sends half an event and closes",
    answer: { parts: [streamHead, 'data: {"cho'], ending: "end" },
    expect: truncated,
  },
  {
    name: "sends half an event after a good one and closes",
    answer: { parts: [streamHead, begun, 'data: {"cho'], ending: "end" },
    expect: "cut",
  },
  { name: "closes in the middle of a stream", answer: { parts: [streamHead, begun], ending: "end" }, expect: "cut" },
  {
    name: "resets in the middle of a stream",
    answer: { parts: [streamHead, begun, 30], ending: "reset" },
    expect: "cut",
  },
  {
    name: "ends a stream in chunks without a finish reason",
    answer: { parts: [chunkedStreamHead, rawChunk(begun), rawChunk("")] },
    expect: "cut",
  },
  {
    name: "sends a chunk of a stream whose size is no number",
    answer: { parts: [chunkedStreamHead, rawChunk(begun), "zz\r\n"] },
    expect: "cut",
  },
  {
    name: "sends an error in the middle of a stream",
    answer: { parts: [streamHead, begun, 200, sse({ error: { message: "busy", type: "server_error" } })] },
    expect: "cut",
  },
  {
    name: "sends only comments",
    answer: { parts: [streamHead, ...Array.from({ length: 40 }, () => [": ping\n\n", 50]).flat()] },
    expect: { status: 504, code: "upstream_timeout" },
  },
  { name: "stops in the middle of a stream", answer: { parts: [streamHead, begun] }, expect: "cut" },
  {
    name: "never ends",
    answer: { parts: [streamHead, begun, ...Array.from({ length: 200 }, () => [events[2] ?? "", 50]).flat()] },
    expect: "cut",
  },
  {
    name: "sends a stream in gzip to one who asked for none",
    answer: {
      parts: [rawHead(["connection: close", "content-encoding: gzip"], "text/event-stream"), gzipSync(events.join(""))],
      ending: "end",
    },
    expect: truncated,
  },
  {
    name: "sends an event of 40 MB",
    answer: {
      parts: [streamHead, begun, "data: ", ...Array.from({ length: 40 }, () => Buffer.alloc(1024 * 1024, 0x20))],
    },
    expect: "cut",
  },
].map((fault) => ({ ...fault, stream: true }) as ProviderFault);

/** What a provider may say in `retry-after`, and the milliseconds that a caller is told; undefined for none. */
export const retryAfterForms: readonly {
  readonly lines: readonly string[];
  readonly atLeastMs: number | undefined;
  readonly atMostMs?: number;
}[] = [
  { lines: ["retry-after: 7"], atLeastMs: 7_000 },
  { lines: ["retry-after-ms: 250"], atLeastMs: 250 },
  { lines: ["retry-after: 0"], atLeastMs: 0 },
  { lines: ["retry-after: -5"], atLeastMs: 0 },
  { lines: ["retry-after: abc"], atLeastMs: undefined },
  { lines: ["retry-after: 1e9"], atLeastMs: undefined },
  { lines: ["retry-after: 1000000000"], atLeastMs: 600_000 },
  { lines: ["retry-after: 1.5"], atLeastMs: 1_500 },
  { lines: ["retry-after: 3", "retry-after: 11"], atLeastMs: 11_000 },
  { lines: ["retry-after: 3", "retry-after-ms: 3500"], atLeastMs: 3_500 },
  { lines: ["retry-after: Wed, 21 Oct 2015 07:28:00 GMT"], atLeastMs: 0 },
  { lines: [`retry-after: ${new Date(Date.now() + 300_000).toUTCString()}`], atLeastMs: 200_000, atMostMs: 300_000 },
  { lines: ["retry-after: "], atLeastMs: undefined },
];
