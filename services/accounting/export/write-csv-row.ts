import { type Duration, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorReasonSchema } from "#gen/penstock/type/v1/error_pb.ts";
import { DialectSchema, OperationSchema } from "#gen/penstock/type/v1/dialect_pb.ts";
import { FinishReasonSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import { OutcomeSchema, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { enumName } from "../enum-name.ts";

type Column = readonly [name: string, read: (event: UsageEvent) => string | number | bigint | boolean];

const columns: readonly Column[] = [
  ["start_time", (event) => (event.startTime === undefined ? "" : formatTime(event.startTime))],
  ["request_id", (event) => event.requestId],
  ["attempt_id", (event) => event.attemptId],
  ["attempt_index", (event) => event.attemptIndex],
  ["final", (event) => event.final],
  ["organization_id", (event) => event.organizationId],
  ["team_id", (event) => event.teamId],
  ["key_id", (event) => event.keyId],
  ["user_id", (event) => event.userId],
  ["operation", (event) => enumName(OperationSchema, event.operation)],
  ["dialect", (event) => enumName(DialectSchema, event.dialect)],
  ["stream", (event) => event.stream],
  ["requested_model", (event) => event.requestedModel],
  ["provider", (event) => event.provider],
  ["model", (event) => event.model],
  ["outcome", (event) => enumName(OutcomeSchema, event.outcome)],
  ["error_reason", (event) => (event.errorReason === 0 ? "" : enumName(ErrorReasonSchema, event.errorReason))],
  ["finish_reason", (event) => (event.finishReason === 0 ? "" : enumName(FinishReasonSchema, event.finishReason))],
  ["http_status", (event) => event.httpStatus],
  ["uncached_input_tokens", (event) => event.usage?.uncachedInputTokens ?? 0n],
  ["cache_read_tokens", (event) => event.usage?.cacheReadTokens ?? 0n],
  ["cache_write_tokens", (event) => event.usage?.cacheWriteTokens ?? 0n],
  ["output_tokens", (event) => event.usage?.outputTokens ?? 0n],
  ["reasoning_tokens", (event) => event.usage?.reasoningTokens ?? 0n],
  ["cost_nanos_usd", (event) => event.costNanosUsd],
  ["cost_usd", (event) => formatDollars(event.costNanosUsd)],
  ["price_source", (event) => event.priceSource],
  ["first_token_seconds", (event) => formatSeconds(event.firstTokenLatency)],
  ["total_seconds", (event) => formatSeconds(event.totalLatency)],
  ["provider_request_id", (event) => event.providerRequestId],
  ["tags", (event) => (Object.keys(event.tags).length === 0 ? "" : JSON.stringify(event.tags))],
];

/** The line of names, with its end. */
export const csvHeader = `${columns.map(([name]) => name).join(",")}\r\n`;

/** Writes an event as a line of RFC 4180, with its end. */
export function writeCsvRow(event: UsageEvent): string {
  return `${columns.map(([, read]) => field(read(event))).join(",")}\r\n`;
}

function field(value: string | number | bigint | boolean): string {
  if (typeof value !== "string") {
    return String(value);
  }
  // A spreadsheet runs texts that begin so as formulas; callers choose tags, models and ids.
  // https://owasp.org/www-community/attacks/CSV_Injection
  const text = /^[\s]*[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function formatTime(time: Timestamp): string {
  const micros = String(Math.trunc(time.nanos / 1_000)).padStart(6, "0");
  return `${timestampDate(time).toISOString().slice(0, 19)}.${micros}Z`;
}

function formatSeconds(value: Duration | undefined): string {
  return value === undefined ? "" : `${value.seconds}.${String(Math.trunc(value.nanos / 1_000)).padStart(6, "0")}`;
}

function formatDollars(nanos: bigint): string {
  const digits = String(nanos < 0n ? -nanos : nanos).padStart(10, "0");
  return `${nanos < 0n ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
