import OpenAI from "openai";
import { type AnswerFacts, readFinish, readUsage } from "./answer-facts.ts";
import { createHttpDoor } from "./http-door.ts";
import { type JsonRecord, listOf, numberOf, parseArguments, recordOf, textOf } from "./json.ts";
import type { DoorRequest, WireDoor } from "./wire-door.ts";

/** `POST /v1/responses`. */
export const responsesDoor: WireDoor = createHttpDoor({
  name: "responses",
  dialect: "responses",
  express: (facts) => facts,
  path: () => "/v1/responses",
  headers: (key) => ({ authorization: `Bearer ${key}` }),
  body: (request) =>
    request.recorded === undefined
      ? minimalBody(request)
      : {
          ...request.recorded,
          model: request.model,
          ...((request.recorded["stream"] === true) === request.stream ? {} : { stream: request.stream }),
        },
  readWhole: readResponse,
  readStream: (events) => readResponse(recordOf(finalEvent(events)?.["response"])),
  readError({ type, error, response, message }) {
    const { type: errorType, message: text } = recordOf(error);
    if (typeof text === "string") {
      return { type: typeof errorType === "string" ? errorType : "", message: text };
    }
    const failed = recordOf(recordOf(response)["error"])["message"];
    const said = type === "error" ? message : type === "response.failed" ? failed : undefined;
    return typeof said === "string" ? { type: "", message: said } : undefined;
  },
  checkWhole: (body) => Promise.resolve(checkResponse(body)),
  async checkStream(events, text) {
    return [
      ...checkEvents(events),
      ...(await checkWithClient(readResponse(recordOf(finalEvent(events)?.["response"])), text)),
    ];
  },
});

function minimalBody({ model, stream, tools }: DoorRequest): JsonRecord {
  return {
    model,
    input: "x",
    ...(stream ? { stream } : {}),
    ...(tools.length === 0 ? {} : { tools: tools.map((tool) => ({ type: "function", ...tool })) }),
  };
}

const finalTypes: ReadonlySet<unknown> = new Set(["response.completed", "response.incomplete", "response.failed"]);

function finalEvent(events: readonly JsonRecord[]): JsonRecord | undefined {
  return events.find((event) => finalTypes.has(event["type"]));
}

function readResponse(body: JsonRecord): AnswerFacts {
  const items = listOf(body["output"]).map(recordOf);
  const parts = items
    .filter((item) => item["type"] === "message")
    .flatMap((item) => listOf(item["content"]).map(recordOf));
  const thoughts = items
    .filter((item) => item["type"] === "reasoning")
    .flatMap((item) => [...listOf(item["summary"]), ...listOf(item["content"])].map(recordOf));
  const toolCalls = items
    .filter((item) => item["type"] === "function_call" || item["type"] === "custom_tool_call")
    .map(({ name, arguments: given, input }) => ({
      name: textOf(name),
      arguments: parseArguments(textOf(given ?? input)),
    }));
  const reason = recordOf(body["incomplete_details"])["reason"];
  const status = typeof reason === "string" ? `${textOf(body["status"])}:${reason}` : body["status"];
  return {
    text: parts.map((part) => (part["type"] === "output_text" ? textOf(part["text"]) : "")).join(""),
    reasoning: thoughts.map((thought) => textOf(thought["text"])).join(""),
    refusal: parts.map((part) => textOf(part["refusal"])).join(""),
    toolCalls,
    finish: readFinish("responses", status, toolCalls.length > 0),
    usage: readUsage("responses", body["usage"]),
  };
}

/** What OpenAI's types require of a response that has ended. */
function checkResponse(body: JsonRecord): readonly string[] {
  return [
    ...(body["object"] === "response" ? [] : ["object is not response"]),
    ...(typeof body["id"] === "string" && body["id"] !== "" ? [] : ["there is no id"]),
    ...(numberOf(body["created_at"]) > 0 ? [] : ["there is no created_at"]),
    ...listOf(body["output"])
      .map(recordOf)
      .flatMap((item, index) =>
        typeof item["id"] === "string" && item["id"] !== "" ? [] : [`output ${index} has no id`],
      ),
  ];
}

/** The order that OpenAI's own streams have: numbered events, a beginning, an end, and nothing after it. */
function checkEvents(events: readonly JsonRecord[]): readonly string[] {
  const problems: string[] = [];
  if (events.some((event, index) => event["sequence_number"] !== index)) {
    problems.push("events are not numbered from 0 on");
  }
  if (events[0]?.["type"] !== "response.created") {
    problems.push("the first event is not response.created");
  }
  const last = events.at(-1);
  if (!finalTypes.has(last?.["type"])) {
    problems.push(`the last event is ${String(last?.["type"])}`);
  }
  const open = new Set<unknown>();
  for (const { type, output_index: place } of events) {
    if (type === "response.output_item.added") {
      open.add(place);
    } else if (type === "response.output_item.done" && !open.delete(place)) {
      problems.push(`item ${String(place)} ends without a beginning`);
    }
  }
  return [
    ...problems,
    ...(open.size === 0 ? [] : ["an item has no end"]),
    ...checkResponse(recordOf(last?.["response"])),
  ];
}

/** What OpenAI's own accumulator reads otherwise. */
async function checkWithClient(facts: AnswerFacts, text: string): Promise<readonly string[]> {
  const client = new OpenAI({
    apiKey: "none",
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(text, { headers: { "content-type": "text/event-stream" } })),
  });
  try {
    const response = await client.responses.stream({ model: "x", input: "x" }).finalResponse();
    return response.output_text === facts.text ? [] : ["OpenAI's client reads another text"];
  } catch (error) {
    return [`OpenAI's client fails: ${String(error)}`];
  }
}
