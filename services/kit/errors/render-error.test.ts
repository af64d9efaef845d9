import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import {
  ErrorReason,
  ErrorReasonSchema,
  ProviderErrorClass,
  ProviderErrorSchema,
} from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "./gateway-error.ts";
import { reasonOfProviderClass } from "./reason-of-provider-class.ts";
import { reasonEntry, reasons } from "./reasons.ts";
import { renderError, renderStreamError } from "./render-error.ts";

test("has an entry for every reason of the contract", () => {
  assert.deepEqual(
    Object.keys(reasons)
      .map(Number)
      .toSorted((a, b) => a - b),
    ErrorReasonSchema.values.map((value) => value.number),
  );
});

test("writes all four members of OpenAI's error, and says when to try again", () => {
  const error = gatewayError(ErrorReason.RATE_LIMITED, "Slow down.", {
    retryDelayMs: 1_200.4,
    metadata: { limit: "tokens_per_minute" },
  });
  const rendered = renderError(Dialect.OPENAI_CHAT, error, "req_1");
  assert.equal(rendered.status, 429);
  assert.deepEqual(rendered.headers, { "x-should-retry": "true", "retry-after": "2", "retry-after-ms": "1201" });
  assert.deepEqual(JSON.parse(rendered.body), {
    error: { message: "Slow down.", type: "tokens", param: null, code: "rate_limit_exceeded" },
  });
});

test("tells clients not to retry when the budget is used up", () => {
  const rendered = renderError(Dialect.OPENAI_CHAT, gatewayError(ErrorReason.BUDGET_EXHAUSTED, "Used up."), "req_1");
  assert.equal(rendered.status, 429);
  assert.equal(rendered.headers["x-should-retry"], "false");
  assert.equal(JSON.parse(rendered.body).error.code, "insufficient_quota");
});

test("writes Anthropic's and Gemini's shapes", () => {
  const error = gatewayError(ErrorReason.MODEL_NOT_FOUND, "No such model.");
  assert.deepEqual(JSON.parse(renderError(Dialect.ANTHROPIC_MESSAGES, error, "req_1").body), {
    type: "error",
    error: { type: "not_found_error", message: "No such model." },
    request_id: "req_1",
  });
  assert.deepEqual(JSON.parse(renderError(Dialect.GEMINI, error, "req_1").body), {
    error: { code: 404, message: "No such model.", status: "NOT_FOUND" },
  });
});

test("keeps the status with which a provider refused a request, and no other status of a provider", () => {
  const refused = (reason: ErrorReason, httpStatus: number) =>
    gatewayError(reason, "No.", { providerError: create(ProviderErrorSchema, { httpStatus }) });
  const statusOf = (reason: ErrorReason, httpStatus: number): number =>
    renderError(Dialect.OPENAI_CHAT, refused(reason, httpStatus), "req_1").status;
  assert.equal(statusOf(ErrorReason.INVALID_REQUEST, 422), 422);
  assert.equal(statusOf(ErrorReason.INVALID_REQUEST, 0), 400);
  assert.equal(statusOf(ErrorReason.INVALID_REQUEST, 200), 400);
  assert.equal(statusOf(ErrorReason.UPSTREAM_AUTH, 401), 502);
  const { body } = renderError(Dialect.ANTHROPIC_MESSAGES, refused(ErrorReason.INVALID_REQUEST, 413), "req_1");
  assert.equal(JSON.parse(body).error.type, "request_too_large");
});

test("tells whoever named a model that its provider does not know it, and nobody that the gateway's own key is wrong", () => {
  assert.equal(reasonOfProviderClass(ProviderErrorClass.MODEL_NOT_FOUND), ErrorReason.MODEL_NOT_FOUND);
  assert.equal(reasonOfProviderClass(ProviderErrorClass.AUTH), ErrorReason.UPSTREAM_AUTH);
});

/** What an error of a provider becomes at a door. */
function rendered(dialect: Dialect, errorClass: ProviderErrorClass, httpStatus: number, retryDelayMs?: number) {
  const error = gatewayError(reasonOfProviderClass(errorClass), "No.", {
    providerError: create(ProviderErrorSchema, { errorClass, httpStatus }),
    ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
  });
  const { status, headers, body } = renderError(dialect, error, "req_1");
  return { status, headers, error: JSON.parse(body).error };
}

test("calls an overloaded provider what each dialect calls it", () => {
  const at = (dialect: Dialect) => rendered(dialect, ProviderErrorClass.OVERLOADED, 503);
  assert.equal(at(Dialect.OPENAI_CHAT).status, 503);
  assert.equal(at(Dialect.OPENAI_CHAT).error.code, "overloaded");
  assert.equal(at(Dialect.OPENAI_CHAT).headers["x-should-retry"], "true");
  assert.equal(at(Dialect.GEMINI).error.status, "UNAVAILABLE");
  assert.equal(at(Dialect.ANTHROPIC_MESSAGES).status, 529);
  assert.equal(at(Dialect.ANTHROPIC_MESSAGES).error.type, "overloaded_error");
  assert.equal(rendered(Dialect.ANTHROPIC_MESSAGES, ProviderErrorClass.SERVER, 500).status, 502);
});

test("tells nobody to wait for an account without credit, and says how long to wait where that helps", () => {
  const empty = rendered(Dialect.OPENAI_CHAT, ProviderErrorClass.QUOTA, 429, 30_000);
  assert.equal(empty.status, 429);
  assert.equal(empty.error.code, "insufficient_quota");
  assert.deepEqual(empty.headers, { "x-should-retry": "false" });
  const limited = rendered(Dialect.GEMINI, ProviderErrorClass.RATE_LIMITED, 429, 1_500);
  assert.deepEqual(limited.headers, { "x-should-retry": "true", "retry-after": "2", "retry-after-ms": "1500" });
  assert.deepEqual(limited.error.details, [
    { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.5s" },
  ]);
});

test("tells Anthropic's clients in their own words that there are no threads", () => {
  const metadata = { code: "thread_unsupported_request", param: "thread" };
  const error = gatewayError(ErrorReason.INVALID_REQUEST, "No.", { metadata });
  assert.deepEqual(JSON.parse(renderError(Dialect.ANTHROPIC_MESSAGES, error, "req_1").body).error.details, {
    error_code: "thread_unsupported_request",
    unsupported: ["thread"],
  });
});

test("says which limit refused, in the body of every dialect", () => {
  const limit = { scope: "team", scope_id: "search", window: "month", value: "1000", used: "999" };
  const error = gatewayError(ErrorReason.BUDGET_EXHAUSTED, "No.", {
    metadata: { limit: "budget", other: "x", ...limit },
  });
  const body = (dialect: Dialect): { readonly error: Readonly<Record<string, unknown>> } =>
    JSON.parse(renderError(dialect, error, "req_1").body);
  for (const dialect of [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES, Dialect.COHERE]) {
    assert.deepEqual(body(dialect).error["limit"], { name: "budget", ...limit });
  }
  assert.deepEqual(body(Dialect.GEMINI).error["details"], [
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "RATE_LIMIT_EXCEEDED",
      domain: "penstock",
      metadata: { name: "budget", ...limit },
    },
  ]);
});

test("shows nothing of an error that is not of the catalogue", () => {
  for (const error of [
    ConnectError.from(new Error("password=x")),
    new ConnectError("password=x", Code.Internal),
    new ConnectError("password=x", Code.Unknown),
  ]) {
    const rendered = renderError(Dialect.OPENAI_CHAT, error, "req_1");
    assert.equal(rendered.status, 500);
    assert.doesNotMatch(rendered.body, /password/);
  }
});

test("ends a broken stream with an error event and never with a final marker", () => {
  const error = gatewayError(ErrorReason.UPSTREAM_TRUNCATED, "Cut.");
  assert.match(renderStreamError(Dialect.OPENAI_CHAT, error, "req_1"), /^data: \{"error":\{.*\}\}\n\n$/);
  assert.match(renderStreamError(Dialect.ANTHROPIC_MESSAGES, error, "req_1"), /^event: error\ndata: \{.*\}\n\n$/);
  assert.match(
    renderStreamError(Dialect.OPENAI_RESPONSES, error, "req_1"),
    /^event: error\ndata: \{"type":"error",.*"error":\{.*\}\}\n\n$/,
  );
  assert.doesNotMatch(renderStreamError(Dialect.OPENAI_CHAT, error, "req_1"), /DONE/);
});

test("treats a reason of a newer version as an internal error", () => {
  assert.equal(reasonEntry(999 as ErrorReason).httpStatus, 500);
});
