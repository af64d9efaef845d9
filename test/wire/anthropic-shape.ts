import { expectShape } from "./expect-shape.ts";
import { isRecord, type JsonRecord, listOf, recordOf } from "./json.ts";

const stopReasons: readonly unknown[] = [
  "end_turn",
  "max_tokens",
  "stop_sequence",
  "tool_use",
  "pause_turn",
  "refusal",
  "model_context_window_exceeded",
];

/** The deltas that each kind of block takes. */
const deltasOf: Readonly<Record<string, readonly unknown[]>> = {
  text: ["text_delta", "citations_delta"],
  thinking: ["thinking_delta", "signature_delta"],
  redacted_thinking: [],
  tool_use: ["input_json_delta"],
};

/** What Anthropic's published type of a message does not allow. */
export function checkAnthropicMessage(body: JsonRecord): readonly string[] {
  const problems: string[] = [];
  checkHead(problems, body);
  expectShape(problems, stopReasons.includes(body["stop_reason"]), "stop_reason", body["stop_reason"]);
  checkUsage(problems, body["usage"]);
  const types = listOf(body["content"]).map((block) => recordOf(block)["type"]);
  checkCalls(problems, types.includes("tool_use"), body["stop_reason"]);
  for (const block of listOf(body["content"]).map(recordOf)) {
    checkBlock(problems, block);
    expectShape(problems, block["type"] !== "text" || block["text"] !== "", "a text block is empty");
  }
  return problems;
}

/** What Anthropic's published types of stream events, and their order, do not allow. */
export function checkAnthropicEvents(events: readonly JsonRecord[], text: string): readonly string[] {
  const problems: string[] = [];
  const [first, ...rest] = events;
  expectShape(problems, first?.["type"] === "message_start", "the first event is not message_start");
  const message = recordOf(first?.["message"]);
  checkHead(problems, message);
  expectShape(problems, message["stop_reason"] === null, "message_start has a stop_reason");
  expectShape(problems, listOf(message["content"]).length === 0, "message_start has content");
  checkUsage(problems, message["usage"]);
  let open: string | undefined;
  let hasCalls = false;
  let count = 0;
  const ends: unknown[] = [];
  for (const event of rest) {
    const { type, index } = event;
    switch (type) {
      case "content_block_start": {
        const block = recordOf(event["content_block"]);
        expectShape(
          problems,
          open === undefined && ends.length === 0,
          "a block begins inside another or after the end",
        );
        expectShape(problems, index === count, "blocks are not counted from 0");
        checkBlock(problems, block);
        open = String(block["type"]);
        hasCalls ||= open === "tool_use";
        count += 1;
        break;
      }
      case "content_block_delta": {
        const delta = recordOf(event["delta"])["type"];
        expectShape(problems, index === count - 1, "a delta is not of the open block");
        expectShape(problems, deltasOf[open ?? ""]?.includes(delta) ?? false, "a block does not take", delta);
        break;
      }
      case "content_block_stop":
        expectShape(problems, open !== undefined && index === count - 1, "a block ends that is not open");
        open = undefined;
        break;
      case "message_delta":
        expectShape(problems, open === undefined, "message_delta inside a block");
        expectShape(
          problems,
          stopReasons.includes(recordOf(event["delta"])["stop_reason"]),
          "message_delta's stop_reason",
        );
        checkCalls(problems, hasCalls, recordOf(event["delta"])["stop_reason"]);
        checkUsage(problems, event["usage"]);
        ends.push(type);
        break;
      case "message_stop":
        ends.push(type);
        break;
      case "ping":
        break;
      default:
        problems.push(`an event of type ${JSON.stringify(type)}`);
    }
  }
  expectShape(problems, ends.join() === "message_delta,message_stop", `the stream ends with ${ends.join()}`);
  const named = [...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1]);
  expectShape(
    problems,
    named.join() === events.map((event) => event["type"]).join(),
    "events are not named by their types",
  );
  return [...new Set(problems)];
}

function checkHead(problems: string[], message: JsonRecord): void {
  expectShape(problems, typeof message["id"] === "string" && message["id"] !== "", "id is empty");
  expectShape(problems, message["type"] === "message", "type is not message");
  expectShape(problems, message["role"] === "assistant", "role is not assistant");
  expectShape(problems, typeof message["model"] === "string", "model is no string");
  expectShape(problems, Array.isArray(message["content"]), "content is no array");
  expectShape(problems, "stop_sequence" in message, "stop_sequence is missing");
}

function checkBlock(problems: string[], block: JsonRecord): void {
  switch (block["type"]) {
    case "text":
      expectShape(problems, typeof block["text"] === "string", "a text block has no text");
      break;
    case "thinking":
      expectShape(problems, typeof block["thinking"] === "string", "a thinking block has no thinking");
      expectShape(problems, typeof block["signature"] === "string", "a thinking block has no signature");
      break;
    case "redacted_thinking":
      expectShape(problems, typeof block["data"] === "string", "a redacted block has no data");
      break;
    case "tool_use":
      expectShape(problems, typeof block["id"] === "string" && block["id"] !== "", "a call has no id");
      expectShape(problems, typeof block["name"] === "string" && block["name"] !== "", "a call has no name");
      expectShape(problems, isRecord(block["input"]), "a call's input is no object");
      break;
    default:
      problems.push(`a block of type ${JSON.stringify(block["type"])}`);
  }
}

/** Clients run tools only when the stop reason says so. */
function checkCalls(problems: string[], hasCalls: boolean, stopReason: unknown): void {
  expectShape(problems, !hasCalls || stopReason !== "end_turn", "tools are called and the turn ends");
}

function checkUsage(problems: string[], usage: unknown): void {
  const { input_tokens: input, output_tokens: output } = recordOf(usage);
  expectShape(problems, typeof input === "number" && typeof output === "number", "usage lacks a count");
}
