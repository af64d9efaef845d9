import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { RateLimitStatus } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { ReplyHead } from "../pipeline/gateway-call.ts";

/** The header fields of an answer, names and values in turn. */
export function replyHeaders(head: ReplyHead, requestId: string): string[] {
  const headers = [
    "content-type",
    head.contentType,
    "x-request-id",
    requestId,
    "x-penstock-provider",
    headerText(head.provider),
    "x-penstock-model",
    headerText(head.model),
    "x-penstock-attempts",
    String(head.attempts),
    "x-penstock-cache",
    head.cache,
    "x-penstock-overhead-ms",
    head.overheadMs.toFixed(3),
  ];
  if (head.costNanosUsd !== undefined) {
    headers.push("x-penstock-cost-usd", formatDollars(head.costNanosUsd));
  }
  if (head.droppedParams.length > 0) {
    headers.push("x-penstock-dropped-params", headerText(head.droppedParams.join(",")));
  }
  if (head.estimated) {
    headers.push("x-penstock-estimated", "true");
  }
  addLimit(headers, "requests", head.requests);
  addLimit(headers, "tokens", head.tokens);
  return headers;
}

/** An amount of nano-dollars as decimal dollars with all nine places. */
function formatDollars(nanosUsd: bigint): string {
  const digits = nanosUsd.toString().padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/**
 * A text that callers may have made up, such as the name of an open model, as the value of a header field: what may not
 * stand there is percent-encoded, since Node throws for it when the answer is on its way already.
 */
function headerText(text: string): string {
  return unprintable.test(text)
    ? text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]+/g, (part) => encodeURIComponent(part))
    : text;
}

const unprintable = /[^\x20-\x7e]/;

function addLimit(headers: string[], name: "requests" | "tokens", status: RateLimitStatus | undefined): void {
  if (status === undefined) {
    return;
  }
  headers.push(
    `x-ratelimit-limit-${name}`,
    String(status.limit),
    `x-ratelimit-remaining-${name}`,
    String(status.remaining),
    `x-ratelimit-reset-${name}`,
    formatReset(status.resetDelay),
  );
}

/** OpenAI's spelling of a delay: `6m0s`, `1.5s`, `20ms`. */
function formatReset(delay: Duration | undefined): string {
  const ms = delay === undefined ? 0 : durationMs(delay);
  if (ms < 1_000) {
    return `${Math.ceil(ms)}ms`;
  }
  const minutes = Math.floor(ms / 60_000);
  const seconds = (ms % 60_000) / 1_000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
