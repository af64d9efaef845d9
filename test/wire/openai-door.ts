import OpenAI from "openai";
import { type AnswerFacts, readFinish, readUsage } from "./answer-facts.ts";
import { createHttpDoor } from "./http-door.ts";
import { type JsonRecord, listOf, numberOf, parseArguments, recordOf, textOf } from "./json.ts";
import { checkOpenAiChunks, checkOpenAiCompletion } from "./openai-shape.ts";
import type { DoorRequest, WireDoor } from "./wire-door.ts";

/** `POST /v1/chat/completions`. */
export const openAiDoor: WireDoor = createHttpDoor({
  name: "openai",
  dialect: "openai",
  express: (facts) => facts,
  path: () => "/v1/chat/completions",
  headers: (key) => ({ authorization: `Bearer ${key}` }),
  body: (request) => (request.recorded === undefined ? minimalBody(request) : recordedBody(request.recorded, request)),
  readWhole: (body) => {
    const choice = recordOf(listOf(body["choices"])[0]);
    return readChoices([{ message: recordOf(choice["message"]), finish: choice["finish_reason"] }], body["usage"]);
  },
  readStream,
  readError({ error }) {
    const { type, message } = recordOf(error);
    return typeof type === "string" && typeof message === "string" ? { type, message } : undefined;
  },
  checkWhole: (body) => Promise.resolve(checkOpenAiCompletion(body)),
  async checkStream(events, text) {
    return [...checkOpenAiChunks(events, text), ...(await checkWithClient(readStream(events), text))];
  },
});

function recordedBody(recorded: JsonRecord, { model, stream }: DoorRequest): JsonRecord {
  return { ...recorded, model, ...(stream === (recorded["stream"] === true) ? {} : { stream }) };
}

function minimalBody({ model, stream, tools }: DoorRequest): JsonRecord {
  return {
    model,
    messages: [{ role: "user", content: "x" }],
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    ...(tools.length === 0 ? {} : { tools: tools.map((tool) => ({ type: "function", function: tool })) }),
  };
}

interface Piece {
  /** A message or a delta. */
  readonly message: JsonRecord;
  readonly finish: unknown;
}

function readStream(events: readonly JsonRecord[]): AnswerFacts {
  let usage: unknown;
  const pieces: Piece[] = [];
  for (const event of events) {
    usage = event["usage"] ?? recordOf(event["x_groq"])["usage"] ?? usage;
    for (const choice of listOf(event["choices"]).map(recordOf)) {
      if (numberOf(choice["index"]) === 0) {
        pieces.push({ message: recordOf(choice["delta"]), finish: choice["finish_reason"] });
      }
    }
  }
  return readChoices(pieces, usage);
}

/** Reads a message, or the deltas of one, with the members that compatible servers have beside OpenAI's. */
function readChoices(pieces: readonly Piece[], usage: unknown): AnswerFacts {
  let text = "";
  let reasoning = "";
  let refusal = "";
  let finish: unknown;
  const calls = new Map<number, { name: string; text: string }>();
  for (const piece of pieces) {
    const { message } = piece;
    finish = piece.finish ?? finish;
    reasoning += textOf(message["reasoning_content"]) || textOf(message["reasoning"]);
    refusal += textOf(message["refusal"]);
    text += textOf(message["content"]);
    // Mistral's content is a list of thoughts and texts.
    for (const part of listOf(message["content"]).map(recordOf)) {
      text += textOf(part["text"]);
      reasoning += listOf(part["thinking"])
        .map((thought) => textOf(recordOf(thought)["text"]))
        .join("");
    }
    for (const [position, call] of listOf(message["tool_calls"]).map(recordOf).entries()) {
      const index = typeof call["index"] === "number" ? call["index"] : position;
      const called = recordOf(call["function"]);
      const known = calls.get(index) ?? { name: "", text: "" };
      calls.set(index, { name: known.name + textOf(called["name"]), text: known.text + textOf(called["arguments"]) });
    }
  }
  const [only] = pieces;
  const legacy = recordOf(only?.message["function_call"]);
  if (calls.size === 0 && legacy["name"] !== undefined) {
    calls.set(0, { name: textOf(legacy["name"]), text: textOf(legacy["arguments"]) });
  }
  const toolCalls = [...calls.values()].map((call) => ({ name: call.name, arguments: parseArguments(call.text) }));
  return {
    text,
    reasoning,
    refusal,
    toolCalls,
    finish: readFinish("openai", finish, toolCalls.length > 0),
    usage: readUsage("openai", usage),
  };
}

/** What OpenAI's own accumulator reads otherwise. */
async function checkWithClient(facts: AnswerFacts, text: string): Promise<readonly string[]> {
  let completion: OpenAI.ChatCompletion;
  try {
    completion = await clientOf(text).chat.completions.stream({ model: "x", messages: [] }).finalChatCompletion();
  } catch (error) {
    return [`OpenAI's client fails: ${String(error)}`];
  }
  const [choice] = completion.choices;
  const calls = (choice?.message.tool_calls ?? []).map((call) =>
    call.type === "function" ? { name: call.function.name, arguments: parseArguments(call.function.arguments) } : call,
  );
  return [
    ...((choice?.message.content ?? "") === facts.text ? [] : ["OpenAI's client reads another text"]),
    ...(JSON.stringify(calls) === JSON.stringify(facts.toolCalls) ? [] : ["OpenAI's client reads other tool calls"]),
    ...(choice?.finish_reason == null ? ["OpenAI's client reads no finish"] : []),
  ];
}

/** OpenAI's client, which gets this stream for whatever it asks. */
function clientOf(text: string): OpenAI {
  return new OpenAI({
    apiKey: "none",
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(text, { headers: { "content-type": "text/event-stream" } })),
  });
}
