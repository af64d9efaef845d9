import { expectShape } from "./expect-shape.ts";
import { type JsonRecord, isRecord, listOf, recordOf } from "./json.ts";

const finishReasons: readonly unknown[] = ["stop", "length", "tool_calls", "content_filter", "function_call"];

/** What OpenAI's published type of a chat completion does not allow. */
export function checkOpenAiCompletion(body: JsonRecord): readonly string[] {
  const problems = checkHead(body, "chat.completion");
  const choices = listOf(body["choices"]).map(recordOf);
  if (choices.length === 0) {
    problems.push("choices is empty");
  }
  for (const choice of choices) {
    const message = recordOf(choice["message"]);
    expectShape(problems, typeof choice["index"] === "number", "choice.index is no number");
    expectShape(problems, finishReasons.includes(choice["finish_reason"]), "finish_reason", choice["finish_reason"]);
    expectShape(problems, choice["logprobs"] === null || isRecord(choice["logprobs"]), "choice.logprobs is missing");
    expectShape(problems, message["role"] === "assistant", "message.role is not assistant");
    expectShape(problems, isNullableText(message["content"]), "message.content is neither a string nor null");
    expectShape(problems, isNullableText(message["refusal"]), "message.refusal is neither a string nor null");
    const calls = message["tool_calls"];
    expectShape(problems, calls === undefined || listOf(calls).length > 0, "message.tool_calls is empty");
    for (const call of listOf(calls).map(recordOf)) {
      checkWholeCall(problems, call);
    }
  }
  if (body["usage"] !== undefined) {
    checkUsage(problems, recordOf(body["usage"]));
  }
  return problems;
}

/** What OpenAI's published type of the chunks of a chat completion, and their order, do not allow. */
export function checkOpenAiChunks(events: readonly JsonRecord[], text: string): readonly string[] {
  const problems: string[] = [];
  const ids = new Set<unknown>();
  const finished = new Set<unknown>();
  const calls = new Map<string, number>();
  for (const event of events) {
    problems.push(...checkHead(event, "chat.completion.chunk"));
    ids.add(event["id"]);
    const choices = listOf(event["choices"]).map(recordOf);
    if (isRecord(event["usage"])) {
      expectShape(problems, choices.length === 0, "the chunk with usage has choices");
      checkUsage(problems, event["usage"]);
    }
    for (const choice of choices) {
      const { index, finish_reason: finish } = choice;
      expectShape(problems, typeof index === "number", "choice.index is no number");
      expectShape(problems, isRecord(choice["delta"]), "choice.delta is missing");
      expectShape(problems, !finished.has(index), "a choice goes on after its finish");
      expectShape(problems, finish === null || finishReasons.includes(finish), "finish_reason", finish);
      if (finish !== null) {
        finished.add(index);
      }
      for (const call of listOf(recordOf(choice["delta"])["tool_calls"]).map(recordOf)) {
        checkCallDelta(problems, calls, index, call);
      }
    }
  }
  expectShape(problems, ids.size === 1, "the chunks have different ids");
  expectShape(problems, finished.size > 0, "no choice has a finish");
  expectShape(problems, text.endsWith("data: [DONE]\n\n"), "the stream does not end with [DONE]");
  return [...new Set(problems)];
}

function checkHead(body: JsonRecord, object: string): string[] {
  const problems: string[] = [];
  expectShape(problems, typeof body["id"] === "string" && body["id"] !== "", "id is empty");
  expectShape(problems, body["object"] === object, `object is not ${object}`);
  expectShape(problems, Number.isInteger(body["created"]), "created is no integer");
  expectShape(problems, typeof body["model"] === "string", "model is no string");
  expectShape(problems, Array.isArray(body["choices"]), "choices is no array");
  return problems;
}

function checkWholeCall(problems: string[], call: JsonRecord): void {
  const called = recordOf(call["function"]);
  expectShape(problems, typeof call["id"] === "string" && call["id"] !== "", "tool_call.id is empty");
  expectShape(problems, call["type"] === "function", "tool_call.type is not function");
  expectShape(problems, typeof called["name"] === "string" && called["name"] !== "", "function.name is empty");
  expectShape(problems, typeof called["arguments"] === "string", "function.arguments is no string");
}

function checkCallDelta(problems: string[], calls: Map<string, number>, choice: unknown, call: JsonRecord): void {
  const name = JSON.stringify([choice, call["index"]]);
  const seen = calls.get(name) ?? 0;
  calls.set(name, seen + 1);
  if (seen === 0) {
    checkWholeCall(problems, call);
    const before = [...calls.keys()].filter((key) => key.startsWith(`[${JSON.stringify(choice)},`)).length - 1;
    expectShape(problems, call["index"] === before, "tool_call.index does not count the calls");
  } else {
    expectShape(problems, typeof recordOf(call["function"])["arguments"] === "string", "a delta has no arguments");
  }
}

function checkUsage(problems: string[], usage: JsonRecord): void {
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  const counts = typeof prompt === "number" && typeof completion === "number" && typeof total === "number";
  expectShape(problems, counts, "usage lacks a count");
  expectShape(problems, counts && prompt + completion === total, "usage does not add up");
}

function isNullableText(value: unknown): boolean {
  return value === null || typeof value === "string";
}
