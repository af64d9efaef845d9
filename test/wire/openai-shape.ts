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
    expect(problems, typeof choice["index"] === "number", "choice.index is no number");
    expect(problems, finishReasons.includes(choice["finish_reason"]), `finish_reason ${choice["finish_reason"]}`);
    expect(problems, choice["logprobs"] === null || isRecord(choice["logprobs"]), "choice.logprobs is missing");
    expect(problems, message["role"] === "assistant", "message.role is not assistant");
    expect(problems, isNullableText(message["content"]), "message.content is neither a string nor null");
    expect(problems, isNullableText(message["refusal"]), "message.refusal is neither a string nor null");
    const calls = message["tool_calls"];
    expect(problems, calls === undefined || listOf(calls).length > 0, "message.tool_calls is empty");
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
      expect(problems, choices.length === 0, "the chunk with usage has choices");
      checkUsage(problems, event["usage"]);
    }
    for (const choice of choices) {
      const { index, finish_reason: finish } = choice;
      expect(problems, typeof index === "number", "choice.index is no number");
      expect(problems, isRecord(choice["delta"]), "choice.delta is missing");
      expect(problems, !finished.has(index), "a choice goes on after its finish");
      expect(problems, finish === null || finishReasons.includes(finish), `finish_reason ${finish}`);
      if (finish !== null) {
        finished.add(index);
      }
      for (const call of listOf(recordOf(choice["delta"])["tool_calls"]).map(recordOf)) {
        checkCallDelta(problems, calls, index, call);
      }
    }
  }
  expect(problems, ids.size === 1, "the chunks have different ids");
  expect(problems, finished.size > 0, "no choice has a finish");
  expect(problems, text.endsWith("data: [DONE]\n\n"), "the stream does not end with [DONE]");
  return [...new Set(problems)];
}

function checkHead(body: JsonRecord, object: string): string[] {
  const problems: string[] = [];
  expect(problems, typeof body["id"] === "string" && body["id"] !== "", "id is empty");
  expect(problems, body["object"] === object, `object is not ${object}`);
  expect(problems, Number.isInteger(body["created"]), "created is no integer");
  expect(problems, typeof body["model"] === "string", "model is no string");
  expect(problems, Array.isArray(body["choices"]), "choices is no array");
  return problems;
}

function checkWholeCall(problems: string[], call: JsonRecord): void {
  const called = recordOf(call["function"]);
  expect(problems, typeof call["id"] === "string" && call["id"] !== "", "tool_call.id is empty");
  expect(problems, call["type"] === "function", "tool_call.type is not function");
  expect(problems, typeof called["name"] === "string" && called["name"] !== "", "function.name is empty");
  expect(problems, typeof called["arguments"] === "string", "function.arguments is no string");
}

function checkCallDelta(problems: string[], calls: Map<string, number>, choice: unknown, call: JsonRecord): void {
  const name = `${choice}/${call["index"]}`;
  const seen = calls.get(name) ?? 0;
  calls.set(name, seen + 1);
  if (seen === 0) {
    checkWholeCall(problems, call);
    const before = [...calls.keys()].filter((key) => key.startsWith(`${choice}/`)).length - 1;
    expect(problems, call["index"] === before, "tool_call.index does not count the calls");
  } else {
    expect(problems, typeof recordOf(call["function"])["arguments"] === "string", "a delta has no arguments");
  }
}

function checkUsage(problems: string[], usage: JsonRecord): void {
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  const counts = typeof prompt === "number" && typeof completion === "number" && typeof total === "number";
  expect(problems, counts, "usage lacks a count");
  expect(problems, counts && prompt + completion === total, "usage does not add up");
}

function isNullableText(value: unknown): boolean {
  return value === null || typeof value === "string";
}

function expect(problems: string[], holds: boolean, problem: string): void {
  if (!holds) {
    problems.push(problem);
  }
}
