import { Code } from "@connectrpc/connect";
import { type ErrorDetail, ErrorReason, ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";

/** What each reason becomes on each wire. */
export interface ReasonEntry {
  /** The Connect and gRPC code. */
  readonly code: Code;
  /** The HTTP status of the dialect endpoints. */
  readonly httpStatus: number;
  /** The HTTP status of Anthropic's endpoints where it is another one. */
  readonly anthropicStatus?: number;
  /** Whether the same request, sent again, can succeed: `x-should-retry`. */
  readonly retryable: boolean;
  /** OpenAI's `error.type`. */
  readonly openaiType: string;
  /** OpenAI's `error.code`; null where OpenAI has none. */
  readonly openaiCode: string | null;
  /** Anthropic's `error.type`. */
  readonly anthropicType: string;
  /** Google's `error.status`. */
  readonly geminiStatus: string;
}

function entry(
  code: Code,
  httpStatus: number,
  retryable: boolean,
  openaiType: string,
  openaiCode: string | null,
  anthropicType: string,
  geminiStatus: string,
): ReasonEntry {
  return { code, httpStatus, retryable, openaiType, openaiCode, anthropicType, geminiStatus };
}

const badRequest = (openaiCode: string | null, httpStatus = 400): ReasonEntry =>
  entry(
    Code.InvalidArgument,
    httpStatus,
    false,
    "invalid_request_error",
    openaiCode,
    httpStatus === 413 ? "request_too_large" : "invalid_request_error",
    "INVALID_ARGUMENT",
  );
const unavailable = (openaiCode: string, httpStatus = 503): ReasonEntry =>
  entry(Code.Unavailable, httpStatus, true, "server_error", openaiCode, "overloaded_error", "UNAVAILABLE");

/** The catalogue of errors: the one place where a reason meets a status, a code and the words of each dialect. */
export const reasons: { readonly [R in ErrorReason]: ReasonEntry } = {
  [ErrorReason.UNSPECIFIED]: entry(Code.Internal, 500, true, "server_error", "internal_error", "api_error", "INTERNAL"),
  [ErrorReason.INVALID_REQUEST]: badRequest(null),
  [ErrorReason.INVALID_API_KEY]: entry(
    Code.Unauthenticated,
    401,
    false,
    "invalid_request_error",
    "invalid_api_key",
    "authentication_error",
    "UNAUTHENTICATED",
  ),
  [ErrorReason.PERMISSION_DENIED]: entry(
    Code.PermissionDenied,
    403,
    false,
    "invalid_request_error",
    "permission_denied",
    "permission_error",
    "PERMISSION_DENIED",
  ),
  [ErrorReason.MODEL_NOT_ALLOWED]: entry(
    Code.PermissionDenied,
    403,
    false,
    "invalid_request_error",
    "model_not_found",
    "permission_error",
    "PERMISSION_DENIED",
  ),
  [ErrorReason.MODEL_NOT_FOUND]: entry(
    Code.NotFound,
    404,
    false,
    "invalid_request_error",
    "model_not_found",
    "not_found_error",
    "NOT_FOUND",
  ),
  [ErrorReason.UNKNOWN_URL]: entry(
    Code.Unimplemented,
    404,
    false,
    "invalid_request_error",
    "unknown_url",
    "not_found_error",
    "NOT_FOUND",
  ),
  [ErrorReason.METHOD_NOT_ALLOWED]: entry(
    Code.Unimplemented,
    405,
    false,
    "invalid_request_error",
    "method_not_allowed",
    "invalid_request_error",
    "INVALID_ARGUMENT",
  ),
  [ErrorReason.REQUEST_TOO_LARGE]: badRequest("request_too_large", 413),
  [ErrorReason.UNSUPPORTED_MEDIA_TYPE]: badRequest("unsupported_media_type", 415),
  [ErrorReason.CONTEXT_LENGTH_EXCEEDED]: badRequest("context_length_exceeded"),
  [ErrorReason.CONTENT_FILTER]: badRequest("content_filter"),
  [ErrorReason.BUDGET_EXHAUSTED]: entry(
    Code.ResourceExhausted,
    429,
    false,
    "insufficient_quota",
    "insufficient_quota",
    "rate_limit_error",
    "RESOURCE_EXHAUSTED",
  ),
  [ErrorReason.RATE_LIMITED]: entry(
    Code.ResourceExhausted,
    429,
    true,
    "requests",
    "rate_limit_exceeded",
    "rate_limit_error",
    "RESOURCE_EXHAUSTED",
  ),
  [ErrorReason.MODEL_NOT_PRICED]: entry(
    Code.FailedPrecondition,
    400,
    false,
    "invalid_request_error",
    "model_not_priced",
    "invalid_request_error",
    "FAILED_PRECONDITION",
  ),
  [ErrorReason.QUOTA_UNAVAILABLE]: unavailable("quota_unavailable"),
  [ErrorReason.JOURNAL_UNAVAILABLE]: unavailable("usage_journal_unavailable"),
  [ErrorReason.DRAINING]: unavailable("server_shutting_down"),
  [ErrorReason.OVERLOADED]: unavailable("overloaded"),
  [ErrorReason.SERVICE_UNAVAILABLE]: unavailable("service_unavailable"),
  [ErrorReason.UPSTREAM_RATE_LIMITED]: entry(
    Code.ResourceExhausted,
    429,
    true,
    "requests",
    "rate_limit_exceeded",
    "rate_limit_error",
    "RESOURCE_EXHAUSTED",
  ),
  [ErrorReason.UPSTREAM_FAILED]: entry(
    Code.Unavailable,
    502,
    true,
    "server_error",
    "upstream_error",
    "api_error",
    "UNAVAILABLE",
  ),
  [ErrorReason.UPSTREAM_UNREACHABLE]: entry(
    Code.Unavailable,
    502,
    true,
    "server_error",
    "upstream_unreachable",
    "api_error",
    "UNAVAILABLE",
  ),
  [ErrorReason.UPSTREAM_TIMEOUT]: entry(
    Code.DeadlineExceeded,
    504,
    true,
    "server_error",
    "upstream_timeout",
    "timeout_error",
    "DEADLINE_EXCEEDED",
  ),
  [ErrorReason.UPSTREAM_MALFORMED]: entry(
    Code.Unavailable,
    502,
    true,
    "server_error",
    "upstream_malformed",
    "api_error",
    "UNAVAILABLE",
  ),
  [ErrorReason.UPSTREAM_TRUNCATED]: entry(
    Code.Unavailable,
    502,
    true,
    "server_error",
    "upstream_truncated",
    "api_error",
    "UNAVAILABLE",
  ),
  [ErrorReason.UPSTREAM_AUTH]: entry(
    Code.Unavailable,
    502,
    false,
    "server_error",
    "upstream_auth_failed",
    "api_error",
    "UNAVAILABLE",
  ),
  [ErrorReason.CLIENT_CLOSED]: entry(
    Code.Canceled,
    499,
    false,
    "invalid_request_error",
    "client_closed",
    "api_error",
    "CANCELLED",
  ),
  [ErrorReason.UNSUPPORTED_FEATURE]: badRequest("unsupported_parameter"),
  [ErrorReason.NOT_FOUND]: entry(
    Code.NotFound,
    404,
    false,
    "invalid_request_error",
    "not_found",
    "not_found_error",
    "NOT_FOUND",
  ),
  [ErrorReason.INTERNAL]: entry(Code.Internal, 500, true, "server_error", "internal_error", "api_error", "INTERNAL"),
};

/** The entry of a reason; a reason that a newer service sent and this one does not know counts as INTERNAL. */
export function reasonEntry(reason: ErrorReason): ReasonEntry {
  return (reasons as { readonly [R in ErrorReason]?: ReasonEntry })[reason] ?? reasons[ErrorReason.INTERNAL];
}

// Anthropic's clients know an overloaded provider by its status, and wait longer for it.
const providerOverloaded: ReasonEntry = { ...unavailable("overloaded"), anthropicStatus: 529 };
// Clients that do not read `x-should-retry` know by this code that waiting does not help.
const providerQuota = reasons[ErrorReason.BUDGET_EXHAUSTED];

/** The entry of an error: that of its reason, or what the provider's answer says more precisely. */
export function entryOf(detail: ErrorDetail): ReasonEntry {
  switch (
    detail.reason === ErrorReason.UPSTREAM_FAILED || detail.reason === ErrorReason.UPSTREAM_RATE_LIMITED
      ? detail.providerError?.errorClass
      : undefined
  ) {
    case ProviderErrorClass.OVERLOADED:
      return providerOverloaded;
    case ProviderErrorClass.QUOTA:
      return providerQuota;
    default:
      return reasonEntry(detail.reason);
  }
}
