import { type AnswerFacts, readFinish, readUsage } from "./answer-facts.ts";
import { checkAnthropicEvents, checkAnthropicMessage } from "./anthropic-shape.ts";
import { createHttpDoor } from "./http-door.ts";
import { type JsonRecord, listOf, numberOf, parseArguments, recordOf, textOf } from "./json.ts";
import type { DoorRequest, WireDoor } from "./wire-door.ts";

/** `POST /v1/messages`. */
export const anthropicDoor: WireDoor = createHttpDoor({
  name: "anthropic",
  dialect: "anthropic",
  // A refusal is text with a stop reason of its own.
  express: (facts) => ({ ...facts, text: facts.text + facts.refusal, refusal: "" }),
  path: () => "/v1/messages",
  headers: (key) => ({ "x-api-key": key, "anthropic-version": "2023-06-01" }),
  body: (request) =>
    request.recorded === undefined
      ? minimalBody(request)
      : {
          ...request.recorded,
          model: request.model,
          ...((request.recorded["stream"] === true) === request.stream ? {} : { stream: request.stream }),
        },
  readWhole: (body) => readMessage(listOf(body["content"]).map(recordOf), body["stop_reason"], body["usage"]),
  readStream,
  readError({ type, error }) {
    const { type: errorType, message } = recordOf(error);
    return type === "error" && typeof errorType === "string" && typeof message === "string"
      ? { type: errorType, message }
      : undefined;
  },
  checkWhole: (body) => Promise.resolve(checkAnthropicMessage(body)),
  checkStream: (events, text) => Promise.resolve(checkAnthropicEvents(events, text)),
});

function minimalBody({ model, stream, tools }: DoorRequest): JsonRecord {
  return {
    model,
    max_tokens: 1_000,
    messages: [{ role: "user", content: "x" }],
    ...(stream ? { stream } : {}),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, parameters }) => ({
            name,
            description,
            input_schema: { type: "object", ...parameters },
          })),
        }),
  };
}

function readMessage(blocks: readonly JsonRecord[], stopReason: unknown, usage: unknown): AnswerFacts {
  const joined = (type: string, member: string): string =>
    blocks.map((block) => (block["type"] === type ? textOf(block[member]) : "")).join("");
  const toolCalls = blocks
    .filter((block) => block["type"] === "tool_use")
    .map((block) => ({ name: textOf(block["name"]), arguments: block["input"] }));
  return {
    text: joined("text", "text"),
    reasoning: joined("thinking", "thinking"),
    refusal: "",
    toolCalls,
    finish: readFinish("anthropic", stopReason, toolCalls.length > 0),
    usage: readUsage("anthropic", usage),
  };
}

function readStream(events: readonly JsonRecord[]): AnswerFacts {
  const blocks: Record<string, unknown>[] = [];
  const json = new Map<number, string>();
  let usage: JsonRecord = {};
  let stopReason: unknown;
  for (const event of events) {
    const index = numberOf(event["index"]);
    switch (event["type"]) {
      case "message_start":
        usage = recordOf(recordOf(event["message"])["usage"]);
        break;
      case "content_block_start":
        blocks[index] = { ...recordOf(event["content_block"]) };
        break;
      case "content_block_delta":
        readDelta(blocks, json, index, recordOf(event["delta"]));
        break;
      case "message_delta":
        stopReason = recordOf(event["delta"])["stop_reason"];
        // Later counts replace earlier ones; those that are not repeated stay.
        usage = { ...usage, ...withoutNulls(recordOf(event["usage"])) };
        break;
      default:
        break;
    }
  }
  for (const [index, text] of json) {
    const block = blocks[index];
    if (block !== undefined && text !== "") {
      block["input"] = parseArguments(text);
    }
  }
  return readMessage(blocks, stopReason, usage);
}

function readDelta(
  blocks: readonly Record<string, unknown>[],
  json: Map<number, string>,
  index: number,
  delta: JsonRecord,
): void {
  const block = blocks[index];
  if (block === undefined) {
    return;
  }
  switch (delta["type"]) {
    case "text_delta":
      block["text"] = textOf(block["text"]) + textOf(delta["text"]);
      break;
    case "thinking_delta":
      block["thinking"] = textOf(block["thinking"]) + textOf(delta["thinking"]);
      break;
    case "input_json_delta":
      json.set(index, (json.get(index) ?? "") + textOf(delta["partial_json"]));
      break;
    default:
      break;
  }
}

function withoutNulls(record: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}
