import { sseData } from "../harness/sse-data.ts";
import type { Recording } from "../harness/recordings.ts";
import { type AnswerFacts, type DoorDialect, readFinish, readUsage, type WireDialect } from "./answer-facts.ts";
import { parseArguments, parseJson, recordOf, textOf } from "./json.ts";

/** What a recorded answer says, as whoever recorded it read it. */
export function expectedAnswer({ derived }: Recording, dialect: WireDialect): AnswerFacts {
  const toolCalls = (derived.tool_calls ?? []).map((call) => ({
    name: call.name,
    // An argument text that was cut is kept as text.
    arguments: typeof call.arguments === "string" ? parseArguments(call.arguments) : (call.arguments ?? {}),
  }));
  return {
    // The plan of a turn that calls tools is its text.
    text: (derived.text ?? "") + (derived.tool_plan ?? ""),
    reasoning: derived.reasoning ?? "",
    refusal: derived.refusal ?? "",
    toolCalls,
    finish: readFinish(dialect, derived.finish, toolCalls.length > 0),
    usage: readUsage(dialect, derived.usage),
  };
}

/** What an error of a provider has to become for the gateway's caller. */
export interface ExpectedError {
  readonly status: number;
  /** The status at Anthropic's door where it is another one. */
  readonly anthropicStatus?: number;
  /** `x-should-retry`. */
  readonly retry: boolean;
  /** What the error is called in the error types of the dialects. */
  readonly types: { readonly [D in Exclude<DoorDialect, "responses">]: string };
}

const invalid = {
  retry: false,
  types: { openai: "invalid_request_error", anthropic: "invalid_request_error", gemini: "INVALID_ARGUMENT" },
} as const;
const failed = {
  status: 502,
  retry: true,
  types: { openai: "server_error", anthropic: "api_error", gemini: "UNAVAILABLE" },
} as const;

/**
 * What a caller has to be told. A request that the provider calls invalid is the caller's own, so it keeps its status; a
 * credential that the provider refuses is the operator's, whose caller must not be told that its own key is wrong: 502,
 * and not to try again. Nor does it help to try again what an account without credit refuses.
 */
export function expectedError({ status, body }: Pick<Recording, "status" | "body">): ExpectedError {
  if (/insufficient_quota|billing_error|credit balance is too low|PerDay/.test(body) || status === 402) {
    return {
      status: 429,
      retry: false,
      types: { openai: "insufficient_quota", anthropic: "rate_limit_error", gemini: "RESOURCE_EXHAUSTED" },
    };
  }
  if (/API_KEY_INVALID/.test(body) || [401, 403].includes(status)) {
    return { ...failed, retry: false };
  }
  switch (status) {
    case 404:
      return {
        status: 404,
        retry: false,
        types: { openai: "invalid_request_error", anthropic: "not_found_error", gemini: "NOT_FOUND" },
      };
    case 408:
    case 504:
      return {
        status: 504,
        retry: true,
        types: { openai: "server_error", anthropic: "timeout_error", gemini: "DEADLINE_EXCEEDED" },
      };
    case 429:
      return {
        status: 429,
        retry: true,
        types: { openai: "requests", anthropic: "rate_limit_error", gemini: "RESOURCE_EXHAUSTED" },
      };
    case 498:
    case 503:
    case 529:
      return {
        status: 503,
        anthropicStatus: 529,
        retry: true,
        types: { openai: "server_error", anthropic: "overloaded_error", gemini: "UNAVAILABLE" },
      };
    case 413:
      return { ...invalid, status, types: { ...invalid.types, anthropic: "request_too_large" } };
    default:
      return status >= 500 || status < 400 ? failed : { ...invalid, status };
  }
}

/** The message of a recorded error, wherever its shape has it; empty when there is none. */
export function recordedMessage(recording: Recording): string {
  const parsed = parseRecorded(recording);
  const body = recordOf(Array.isArray(parsed) ? parsed[0] : parsed);
  const { error } = body;
  return (
    [recordOf(error)["message"], error, body["message"], body["detail"]].map(textOf).find((text) => text !== "") ?? ""
  );
}

function parseRecorded({ transport, body }: Recording): unknown {
  return parseJson(transport === "sse" ? (sseData(body)[0] ?? "") : body);
}
