import { isDeepStrictEqual } from "node:util";
import type { Recording } from "../harness/recordings.ts";
import type { AnswerFacts, DoorDialect, TokenClasses } from "./answer-facts.ts";
import { expectedAnswer, expectedError, recordedMessage } from "./expected.ts";
import { listRecordedEvents } from "./recorded-events.ts";
import { isRecord, type JsonRecord, recordOf } from "./json.ts";
import { compareForwarded, compareSent } from "./verbatim.ts";
import type { DoorAnswer, WireDoor } from "./wire-door.ts";
import type { WireTarget } from "./wire-targets.ts";

/** One recorded answer at one door. */
export interface PlayedAnswer {
  readonly recording: Recording;
  readonly target: WireTarget;
  readonly door: WireDoor;
  readonly answer: DoorAnswer;
  /** The body that the provider got; undefined when it was not asked. */
  readonly upstream: unknown;
}

/** How an answer differs from what was recorded, one sentence each; none when it passes. */
export function compareAnswer(played: PlayedAnswer): readonly string[] {
  const { recording, target, door, answer } = played;
  if (isFailure(recording)) {
    return compareError(played);
  }
  const { facts } = answer;
  if (answer.status !== 200 || facts === undefined) {
    return [`status ${answer.status}: ${answer.error?.type} ${answer.error?.message ?? answer.raw.slice(0, 200)}`];
  }
  const expected = door.express(expectedAnswer(recording, target.dialect));
  const isForwarded = door.dialect === target.dialect;
  return [
    ...compareFacts(facts, expected, recording),
    ...compareUsage("usage", facts.usage, isForwarded && !asksForUsage(answer) ? undefined : expected.usage),
    ...(isForwarded
      ? [...compareSent(target.dialect, answer.sent, played.upstream), ...compareForwarded(recording, answer)]
      : answer.shape),
  ];
}

/** How a ledger's count of tokens differs from the recorded one. */
export function compareUsage(
  name: string,
  actual: TokenClasses | undefined,
  expected: TokenClasses | undefined,
): readonly string[] {
  return expected === undefined || isDeepStrictEqual(actual, expected)
    ? []
    : [`${name} ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`];
}

/**
 * Whether a recording has to come out as an error: by its status, by an error inside an answer whose status says that all
 * is well, or as a stream that never says why it ended.
 */
export function isFailure(recording: Recording): boolean {
  return (
    recording.kind === "error" ||
    listRecordedEvents(recording).some(isError) ||
    (recording.transport === "sse" && recording.derived.finish === undefined)
  );
}

/** Both of OpenAI's dialects have the same errors. */
function dialectOfErrors(dialect: DoorDialect): Exclude<DoorDialect, "responses"> {
  return dialect === "responses" ? "openai" : dialect;
}

/** Most put an error object in place of an event or in it; Cohere ends the answer with the text of one. */
function isError(event: JsonRecord): boolean {
  return (
    isRecord(event["error"]) ||
    isRecord(recordOf(event["response"])["error"]) ||
    typeof recordOf(event["delta"])["error"] === "string"
  );
}

function compareFacts(facts: AnswerFacts, expected: AnswerFacts, recording: Recording): readonly string[] {
  const calls = recording.derived.tool_call_args_streamed_partially === true ? namesOf : (all: unknown) => all;
  return [
    ...compareValue("text", facts.text, expected.text),
    ...compareValue("reasoning", facts.reasoning, expected.reasoning),
    ...compareValue("refusal", facts.refusal, expected.refusal),
    ...compareValue("tool calls", calls(facts.toolCalls), calls(expected.toolCalls)),
    ...compareValue("finish", facts.finish, expected.finish),
  ];
}

/** The recorder did not put the pieces of the arguments together. */
function namesOf(calls: AnswerFacts["toolCalls"]): readonly string[] {
  return calls.map((call) => call.name);
}

function compareValue(name: string, actual: unknown, expected: unknown): readonly string[] {
  return isDeepStrictEqual(actual, expected)
    ? []
    : [`${name} ${shorten(JSON.stringify(actual))}, expected ${shorten(JSON.stringify(expected))}`];
}

function shorten(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 100)}…${text.slice(-50)}`;
}

function compareError({ recording, door, answer, upstream }: PlayedAnswer): readonly string[] {
  const { error } = answer;
  if (error === undefined) {
    return [`no error: status ${answer.status}`, ...answer.shape];
  }
  if (recording.kind !== "error") {
    // The answer had begun, or it had not: both are told, and neither as a success.
    return answer.status === 200 && !error.inStream ? ["an error with status 200"] : answer.shape;
  }
  const expected = expectedError(recording);
  const type = door.dialect === undefined ? error.type : expected.types[dialectOfErrors(door.dialect)];
  const message = recordedMessage(recording);
  // What the provider would refuse, the gateway may refuse in words of its own.
  const isRefusedHere = upstream === undefined && recording.status === 400;
  return [
    ...compareValue(
      "status",
      answer.status,
      door.dialect === "anthropic" ? (expected.anthropicStatus ?? expected.status) : expected.status,
    ),
    ...compareValue("x-should-retry", answer.shouldRetry, String(expected.retry)),
    ...(recording.headers["retry-after"] === undefined || !expected.retry || answer.retryAfter !== undefined
      ? []
      : ["no retry-after"]),
    ...(answer.requestId === "" ? ["no request id"] : []),
    ...compareValue("error type", error.type, type),
    ...(error.message.includes(message) || (isRefusedHere && answer.status === recording.status)
      ? []
      : [`message ${shorten(error.message)}, expected ${shorten(message)}`]),
    ...answer.shape,
  ];
}

function asksForUsage({ sent }: DoorAnswer): boolean {
  return sent?.["stream"] !== true || recordOf(sent["stream_options"])["include_usage"] === true;
}
