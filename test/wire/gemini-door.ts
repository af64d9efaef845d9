import { type AnswerFacts, readFinish, readUsage } from "./answer-facts.ts";
import { checkGeminiChunks, checkGeminiResponse } from "./gemini-shape.ts";
import { createHttpDoor } from "./http-door.ts";
import { type JsonRecord, listOf, numberOf, recordOf, textOf } from "./json.ts";
import type { DoorRequest, WireDoor } from "./wire-door.ts";

/** `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`. */
export const geminiDoor: WireDoor = createHttpDoor({
  name: "gemini",
  dialect: "gemini",
  // A refusal is text, and what was written to a cache is input like any other: Google bills caches by time.
  express: ({ usage, ...facts }) => ({
    ...facts,
    text: facts.text + facts.refusal,
    refusal: "",
    usage: usage && { ...usage, uncached: usage.uncached + usage.cacheWrite, cacheWrite: 0 },
  }),
  path: ({ model, stream }) =>
    `/v1beta/models/${encodeURIComponent(model)}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
  headers: (key) => ({ "x-goog-api-key": key }),
  body: (request) => request.recorded ?? minimalBody(request),
  readWhole: (body) => readResponses([body]),
  readStream: readResponses,
  readError({ error }) {
    const { status, message } = recordOf(error);
    return typeof status === "string" && typeof message === "string" ? { type: status, message } : undefined;
  },
  checkWhole: (body) => Promise.resolve(checkGeminiResponse(body)),
  checkStream: (events, text) => Promise.resolve(checkGeminiChunks(events, text)),
});

function minimalBody({ tools }: DoorRequest): JsonRecord {
  return {
    contents: [{ role: "user", parts: [{ text: "x" }] }],
    ...(tools.length === 0
      ? {}
      : {
          tools: [
            {
              functionDeclarations: tools.map(({ name, description, parameters }) => ({
                name,
                description,
                ...(parameters === undefined ? {} : { parametersJsonSchema: parameters }),
              })),
            },
          ],
        }),
  };
}

/** Reads an answer, or the chunks of one. */
function readResponses(responses: readonly JsonRecord[]): AnswerFacts {
  let text = "";
  let reasoning = "";
  let finish: unknown;
  let usage: unknown;
  const toolCalls: AnswerFacts["toolCalls"][number][] = [];
  for (const response of responses) {
    usage = response["usageMetadata"] ?? usage;
    const blockReason = recordOf(response["promptFeedback"])["blockReason"];
    // A prompt that was blocked has no candidate.
    finish = blockReason === undefined ? finish : "SAFETY";
    for (const candidate of listOf(response["candidates"]).map(recordOf)) {
      if (numberOf(candidate["index"]) !== 0) {
        continue;
      }
      finish = candidate["finishReason"] ?? finish;
      for (const part of listOf(recordOf(candidate["content"])["parts"]).map(recordOf)) {
        if (part["thought"] === true) {
          reasoning += textOf(part["text"]);
        } else {
          text += textOf(part["text"]);
        }
        const call = part["functionCall"];
        // The pieces of arguments that follow their call have no name.
        if (call !== undefined && textOf(recordOf(call)["name"]) !== "") {
          toolCalls.push({ name: textOf(recordOf(call)["name"]), arguments: recordOf(call)["args"] ?? {} });
        }
      }
    }
  }
  return {
    text,
    reasoning,
    refusal: "",
    toolCalls,
    finish: readFinish("gemini", finish, toolCalls.length > 0),
    usage: readUsage("gemini", usage),
  };
}
