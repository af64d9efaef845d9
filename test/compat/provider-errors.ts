import type { ScriptedAnswer } from "../harness/fake-provider.ts";
import { json } from "../harness/provider-answers.ts";
import type { Family } from "./three-families.ts";

/** An error of a provider, as that provider writes it. */
export interface ProviderErrorCase {
  readonly family: Family;
  readonly status: number;
  /** The provider's own word for it. */
  readonly word: string;
  readonly answer: ScriptedAnswer;
}

const message = "The provider says no.";
/** Short enough for a test; providers write seconds. */
const waitMs = 5;
const wait = { "retry-after-ms": String(waitMs) };

/** What a proxy before a provider answers. */
const page = (status: number): ScriptedAnswer => ({
  status,
  headers: { "content-type": "text/html" },
  parts: [`<html><body>${message}</body></html>`],
});

const openai = (status: number, type: string, code: string | null, headers = {}): ProviderErrorCase => ({
  family: "gpt",
  status,
  word: code ?? type,
  answer: json({ error: { message, type, param: null, code } }, status, headers),
});

const anthropic = (status: number, type: string, headers = {}, text = message): ProviderErrorCase => ({
  family: "claude",
  status,
  word: text === message ? type : `${type}: ${text}`,
  answer: json({ type: "error", error: { type, message: text }, request_id: "req_provider" }, status, headers),
});

const google = (code: number, status: string, details: readonly object[] = [], word = status): ProviderErrorCase => ({
  family: "flash",
  status: code,
  word,
  answer: json({ error: { code, message, status, ...(details.length === 0 ? {} : { details }) } }, code),
});

const rpc = (type: string, more: object): object => ({ "@type": `type.googleapis.com/google.rpc.${type}`, ...more });
const quota = (quotaId: string): readonly object[] => [
  rpc("QuotaFailure", { violations: [{ quotaId }] }),
  rpc("RetryInfo", { retryDelay: `${waitMs / 1_000}s` }),
];

const html = (family: Family, status: number): ProviderErrorCase => ({
  family,
  status,
  word: "(a page)",
  answer: page(status),
});

/** Errors of each family of providers, by status. */
export const providerErrors: readonly ProviderErrorCase[] = [
  openai(400, "invalid_request_error", null),
  openai(400, "invalid_request_error", "context_length_exceeded"),
  openai(401, "invalid_request_error", "invalid_api_key"),
  openai(403, "request_forbidden", "unsupported_country_region_territory"),
  openai(404, "invalid_request_error", "model_not_found"),
  openai(408, "server_error", "timeout"),
  openai(413, "invalid_request_error", null),
  openai(422, "invalid_request_error", null),
  openai(429, "tokens", "rate_limit_exceeded", wait),
  openai(429, "insufficient_quota", "insufficient_quota"),
  openai(500, "server_error", null),
  html("gpt", 502),
  openai(503, "server_error", null, wait),
  html("gpt", 504),
  openai(529, "server_error", "overloaded"),

  anthropic(400, "invalid_request_error"),
  anthropic(400, "invalid_request_error", {}, "Your credit balance is too low."),
  anthropic(401, "authentication_error"),
  anthropic(402, "billing_error"),
  anthropic(403, "permission_error"),
  anthropic(404, "not_found_error"),
  anthropic(408, "timeout_error"),
  anthropic(413, "request_too_large"),
  anthropic(422, "invalid_request_error"),
  anthropic(429, "rate_limit_error", wait),
  anthropic(500, "api_error"),
  html("claude", 502),
  anthropic(503, "api_error"),
  anthropic(504, "timeout_error"),
  anthropic(529, "overloaded_error"),

  google(400, "INVALID_ARGUMENT"),
  google(400, "INVALID_ARGUMENT", [rpc("ErrorInfo", { reason: "API_KEY_INVALID" })], "API_KEY_INVALID"),
  google(401, "UNAUTHENTICATED"),
  google(403, "PERMISSION_DENIED"),
  google(404, "NOT_FOUND"),
  google(408, "CANCELLED"),
  google(413, "INVALID_ARGUMENT"),
  google(422, "INVALID_ARGUMENT"),
  google(429, "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerMinutePerProjectPerModel"), "quota by the minute"),
  google(429, "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerDayPerProjectPerModel"), "quota by the day"),
  google(500, "INTERNAL"),
  html("flash", 502),
  google(503, "UNAVAILABLE"),
  google(504, "DEADLINE_EXCEEDED"),
  google(529, "UNAVAILABLE"),
];
