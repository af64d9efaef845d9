import { expectShape } from "./expect-shape.ts";
import { isRecord, type JsonRecord, listOf, numberOf, recordOf } from "./json.ts";

const finishReasons: readonly unknown[] = [
  "STOP",
  "MAX_TOKENS",
  "SAFETY",
  "RECITATION",
  "LANGUAGE",
  "OTHER",
  "BLOCKLIST",
  "PROHIBITED_CONTENT",
  "SPII",
  "MALFORMED_FUNCTION_CALL",
  "MODEL_ARMOR",
  "IMAGE_SAFETY",
  "UNEXPECTED_TOOL_CALL",
  "TOO_MANY_TOOL_CALLS",
];

/** What holds the content of a part: each part has exactly one of these. */
const contents = ["text", "functionCall", "inlineData", "fileData", "executableCode", "codeExecutionResult"];

/** What Google's published type of a generated answer does not allow. */
export function checkGeminiResponse(body: JsonRecord): readonly string[] {
  const problems: string[] = [];
  checkResponse(problems, body);
  for (const candidate of listOf(body["candidates"]).map(recordOf)) {
    expectShape(problems, candidate["finishReason"] !== undefined, "a candidate has no finishReason");
  }
  return problems;
}

/** What Google's published type of the chunks of a stream, and their order, do not allow. */
export function checkGeminiChunks(events: readonly JsonRecord[], text: string): readonly string[] {
  const problems: string[] = [];
  const finished = new Set<unknown>();
  for (const event of events) {
    checkResponse(problems, event);
    for (const candidate of listOf(event["candidates"]).map(recordOf)) {
      expectShape(problems, !finished.has(candidate["index"]), "a candidate goes on after its finish");
      if (candidate["finishReason"] !== undefined) {
        finished.add(candidate["index"]);
      }
    }
  }
  expectShape(problems, finished.size > 0, "no candidate has a finish");
  expectShape(problems, !text.includes("[DONE]"), "the stream has OpenAI's final marker");
  expectShape(problems, text.endsWith("\r\n\r\n"), "events are not separated as Google separates them");
  return [...new Set(problems)];
}

function checkResponse(problems: string[], body: JsonRecord): void {
  expectShape(problems, listOf(body["candidates"]).length > 0, "candidates is empty");
  expectShape(problems, typeof body["modelVersion"] === "string", "modelVersion is missing");
  expectShape(problems, typeof body["responseId"] === "string" && body["responseId"] !== "", "responseId is missing");
  for (const candidate of listOf(body["candidates"]).map(recordOf)) {
    const content = recordOf(candidate["content"]);
    expectShape(problems, content["role"] === "model", "content.role is not model");
    expectShape(problems, typeof candidate["index"] === "number", "candidate.index is missing");
    const finish = candidate["finishReason"];
    expectShape(problems, finish === undefined || finishReasons.includes(finish), "finishReason", finish);
    for (const part of listOf(content["parts"]).map(recordOf)) {
      checkPart(problems, part);
    }
  }
  if (isRecord(body["usageMetadata"])) {
    checkUsage(problems, body["usageMetadata"]);
  }
}

function checkPart(problems: string[], part: JsonRecord): void {
  expectShape(problems, contents.filter((name) => part[name] !== undefined).length === 1, "a part has not one content");
  expectShape(problems, part["text"] === undefined || typeof part["text"] === "string", "a part's text is no string");
  const call = part["functionCall"];
  if (call !== undefined) {
    expectShape(problems, typeof recordOf(call)["name"] === "string", "a functionCall has no name");
    expectShape(problems, isRecord(recordOf(call)["args"]), "a functionCall's args is no object");
  }
}

function checkUsage(problems: string[], usage: JsonRecord): void {
  const parts = ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"];
  const sum = parts.reduce((total, name) => total + numberOf(usage[name]), 0);
  expectShape(problems, numberOf(usage["totalTokenCount"]) === sum, "usageMetadata does not add up");
}
