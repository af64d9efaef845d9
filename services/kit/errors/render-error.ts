import { Code, type ConnectError } from "@connectrpc/connect";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { type ErrorDetail, ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, retryDelayMsOf } from "./gateway-error.ts";
import { entryOf, type ReasonEntry } from "./reasons.ts";

/** An error as one dialect writes it. */
export interface RenderedError {
  readonly status: number;
  /** `x-should-retry`, and `retry-after` with `retry-after-ms` where a delay is known. */
  readonly headers: Readonly<Record<string, string>>;
  /** The JSON text of the body, without a line end. */
  readonly body: string;
}

interface ErrorFacts {
  readonly entry: ReasonEntry;
  readonly status: number;
  readonly message: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly type: string;
  /** Unset where waiting does not help. */
  readonly retryDelayMs: number | undefined;
  /** The limit of the gateway that refused the request; undefined when none did. */
  readonly limit: Readonly<Record<string, string>> | undefined;
}

const internalMessage = "The gateway failed to handle the request.";

/**
 * Writes an error in the caller's dialect. What is not of the catalogue is shown as an internal error: neither its
 * message nor its cause reaches the caller.
 */
export function renderError(dialect: Dialect, error: ConnectError, requestId: string): RenderedError {
  const facts = factsOf(error, dialect);
  const { retryDelayMs } = facts;
  return {
    status: facts.status,
    headers: {
      "x-should-retry": facts.entry.retryable ? "true" : "false",
      ...(retryDelayMs === undefined
        ? {}
        : { "retry-after": String(Math.ceil(retryDelayMs / 1000)), "retry-after-ms": String(retryDelayMs) }),
    },
    body: JSON.stringify(errorBody(dialect, facts, requestId)),
  };
}

/** Writes the event that ends a stream which broke after it began. Never the dialect's final marker. */
export function renderStreamError(dialect: Dialect, error: ConnectError, requestId: string): string {
  const facts = factsOf(error, dialect);
  switch (dialect) {
    case Dialect.ANTHROPIC_MESSAGES:
      return `event: error\ndata: ${JSON.stringify(errorBody(dialect, facts, requestId))}\n\n`;
    case Dialect.OPENAI_RESPONSES: {
      const { message, param, code, type } = facts;
      // OpenAI's clients throw only for an error that stands under `error`; others read the flat form of its documents.
      const event = { type: "error", code, message, param, error: { message, type, param, code } };
      return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
    }
    default:
      return `data: ${JSON.stringify(errorBody(dialect, facts, requestId))}\n\n`;
  }
}

function factsOf(error: ConnectError, dialect: Dialect): ErrorFacts {
  const detail = errorDetailOf(error);
  const entry = entryOf(detail);
  const internal = entry.code === Code.Internal || error.code === Code.Unknown;
  const provider = detail.providerError;
  const fromProvider = provider !== undefined && entry.code === Code.InvalidArgument;
  const ownStatus =
    dialect === Dialect.ANTHROPIC_MESSAGES ? (entry.anthropicStatus ?? entry.httpStatus) : entry.httpStatus;
  return {
    entry,
    // What the provider refused as the caller's mistake keeps its status: 413 and 422 say more than 400.
    status: fromProvider && provider.httpStatus >= 400 && provider.httpStatus < 500 ? provider.httpStatus : ownStatus,
    message: internal ? internalMessage : error.rawMessage,
    param: detail.metadata["param"] ?? ((fromProvider ? provider.param : "") || null),
    code: detail.metadata["code"] ?? ((fromProvider ? provider.code : "") || entry.openaiCode),
    type: detail.reason === ErrorReason.RATE_LIMITED ? limitType(detail.metadata["limit"], entry) : entry.openaiType,
    retryDelayMs: entry.retryable ? retryDelayMsOf(detail.retryDelay) : undefined,
    limit: limitOf(detail),
  };
}

/** What is known of the limit that refused: amounts of a budget are nano-US-dollars, a reset is a time. */
function limitOf({ reason, metadata }: ErrorDetail): Readonly<Record<string, string>> | undefined {
  const { limit } = metadata;
  const isOurs = reason === ErrorReason.BUDGET_EXHAUSTED || reason === ErrorReason.RATE_LIMITED;
  if (!isOurs || limit === undefined || metadata["scope"] === undefined) {
    return undefined;
  }
  const facts = limitFacts.flatMap((name) => (metadata[name] === undefined ? [] : [[name, metadata[name]]]));
  return { name: limit, ...Object.fromEntries(facts) };
}

const limitFacts = ["scope", "scope_id", "limit_id", "window", "value", "used", "reset"] as const;

/** OpenAI names what ran out, without the time. */
function limitType(limit: string | undefined, entry: ReasonEntry): string {
  return limit?.replace(/_per_minute$/, "") ?? entry.openaiType;
}

function errorBody(dialect: Dialect, facts: ErrorFacts, requestId: string): object {
  switch (dialect) {
    case Dialect.ANTHROPIC_MESSAGES:
      return {
        type: "error",
        error: {
          type: facts.status === 413 ? "request_too_large" : facts.entry.anthropicType,
          message: facts.message,
          ...anthropicDetails(facts),
          ...limitField(facts),
        },
        request_id: requestId,
      };
    case Dialect.GEMINI:
      return {
        error: {
          code: facts.status,
          message: facts.message,
          status: facts.entry.geminiStatus,
          ...geminiDetails(facts),
        },
      };
    case Dialect.COHERE:
      // Cohere's clients read the message at the top, and others of the same door under the error.
      return { message: facts.message, error: openAiError(facts) };
    default:
      return { error: openAiError(facts) };
  }
}

function openAiError({ message, type, param, code, limit }: ErrorFacts): object {
  return { message, type, param, code, ...limitField({ limit }) };
}

/** No dialect has a field for it; clients pass over those that they do not know. */
function limitField({ limit }: Pick<ErrorFacts, "limit">): object {
  return limit === undefined ? {} : { limit };
}

/** Anthropic's clients go on without a thread for this code, and read it and the reasons only here. */
function anthropicDetails({ code, param }: ErrorFacts): object {
  return code === "thread_unsupported_request" ? { details: { error_code: code, unsupported: [param] } } : {};
}

/** Google's clients read no header field: the delay stands in the body, and its own word for a limit beside it. */
function geminiDetails({ retryDelayMs, limit }: ErrorFacts): object {
  const details: object[] = [];
  if (retryDelayMs !== undefined) {
    details.push({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retryDelayMs / 1_000}s` });
  }
  if (limit !== undefined) {
    const info = { reason: "RATE_LIMIT_EXCEEDED", domain: "penstock", metadata: limit };
    details.push({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", ...info });
  }
  return details.length === 0 ? {} : { details };
}
