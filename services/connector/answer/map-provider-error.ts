import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import type { DecodedError } from "#codec/codec.ts";
import { type ProviderError, ProviderErrorClass, ProviderErrorSchema } from "#gen/penstock/type/v1/error_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { reasonOfProviderClass } from "#kit/errors/reason-of-provider-class.ts";
import type { UpstreamHeaders } from "../upstream/upstream.ts";
import { parseRetryAfter } from "./parse-retry-after.ts";

/** What is known of a failed attempt. */
export interface AttemptFailure {
  readonly errorClass: ProviderErrorClass;
  /** Already without secrets. */
  readonly message: string;
  readonly mayHaveBilled: boolean;
  readonly status?: number;
  readonly decoded?: DecodedError;
  readonly retryDelayMs?: number | undefined;
  readonly usage?: Usage | undefined;
  readonly providerRequestId?: string;
  readonly cause?: unknown;
}

/** The error with which an attempt ends. */
export function attemptError(failure: AttemptFailure): ConnectError {
  const providerError: ProviderError = create(ProviderErrorSchema, {
    errorClass: failure.errorClass,
    httpStatus: failure.status ?? 0,
    message: failure.message,
    type: failure.decoded?.type ?? "",
    code: failure.decoded?.code ?? "",
    param: failure.decoded?.param ?? "",
    mayHaveBilled: failure.mayHaveBilled,
    providerRequestId: failure.providerRequestId ?? "",
    ...(failure.retryDelayMs === undefined ? {} : { retryDelay: durationFromMs(failure.retryDelayMs) }),
    ...(failure.usage === undefined ? {} : { usage: failure.usage }),
  });
  return gatewayError(reasonOfProviderClass(failure.errorClass), failure.message, {
    providerError,
    ...(failure.retryDelayMs === undefined ? {} : { retryDelayMs: failure.retryDelayMs }),
    cause: failure.cause,
  });
}

/** What an answer with an error status amounts to. `now` is Unix milliseconds, for dates in header fields. */
export function failureOfStatus(
  status: number,
  headers: UpstreamHeaders,
  decoded: DecodedError,
  now: number,
): AttemptFailure {
  const errorClass = classOf(status, decoded);
  return {
    errorClass,
    status,
    decoded,
    message: decoded.message === "" ? `The provider answered with status ${status}.` : decoded.message,
    mayHaveBilled: status >= 500 && status !== 503 && status !== 529,
    retryDelayMs: parseRetryAfter(headers, now) ?? decoded.retryDelayMs,
    providerRequestId: requestIdOf(headers),
  };
}

/** The provider's id of a request, under any of the names in use. Empty when it gave none. */
export function requestIdOf(headers: UpstreamHeaders): string {
  const value =
    headers["x-request-id"] ?? headers["request-id"] ?? headers["x-amzn-requestid"] ?? headers["apim-request-id"];
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

function classOf(status: number, decoded: DecodedError): ProviderErrorClass {
  const words = `${decoded.code} ${decoded.type}`.toLowerCase();
  if (status === 402 || usedUp.test(words) || (status === 400 && noCredit.test(decoded.message))) {
    return ProviderErrorClass.QUOTA;
  }
  switch (status) {
    case 401:
    case 403:
      return ProviderErrorClass.AUTH;
    case 404:
      return ProviderErrorClass.MODEL_NOT_FOUND;
    case 408:
    case 504:
      return ProviderErrorClass.TIMEOUT;
    case 429:
      return ProviderErrorClass.RATE_LIMITED;
    // Bedrock's word for a model that failed.
    case 424:
      return ProviderErrorClass.SERVER;
    // Groq's word for no capacity.
    case 498:
    case 503:
    case 529:
      return ProviderErrorClass.OVERLOADED;
  }
  if (words.includes("overloaded")) {
    return ProviderErrorClass.OVERLOADED;
  }
  if (/rate_limit|throttling|servicequotaexceeded/.test(words)) {
    return ProviderErrorClass.RATE_LIMITED;
  }
  if (status < 300 || status >= 500) {
    return ProviderErrorClass.SERVER;
  }
  if (status < 400) {
    return ProviderErrorClass.MALFORMED;
  }
  if (words.includes("api_key_invalid")) {
    return ProviderErrorClass.AUTH;
  }
  if (words.includes("context_length") || tooLong.test(decoded.message)) {
    return ProviderErrorClass.CONTEXT_LENGTH;
  }
  return words.includes("content_filter") ? ProviderErrorClass.CONTENT_FILTER : ProviderErrorClass.INVALID_REQUEST;
}

// Only OpenAI has a code for it; the others say it in words, which are all there is to go by.
const tooLong = /prompt is too long|exceeds the maximum number of tokens|maximum context length|input is too long/i;
// Google's quota by the day, which asks for a delay of seconds all the same; Anthropic says it in words.
const usedUp = /insufficient_quota|billing_error|perday/;
const noCredit = /credit balance is too low/i;
