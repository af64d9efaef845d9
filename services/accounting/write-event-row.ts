import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
// Texts without quotes, backslashes, control characters and surrogates are JSON as they are.
const plain = /^[ !#-[\]-\ud7ff\ue000-\uffff]*$/;
const maxTextLength = 500;

/** Says why an event can never be a row of the ledger, or undefined when it can be tried. */
export function findEventProblem(event: UsageEvent): string | undefined {
  if (!uuid.test(event.attemptId)) {
    return "attempt_id is not a UUID";
  }
  if (event.outcome === Outcome.UNSPECIFIED) {
    return "outcome is not specified";
  }
  return event.startTime === undefined ? "start_time is not set" : undefined;
}

/**
 * Writes an event as a JSON object for `json_to_recordset`. Column names are short and what is empty, false or 0 is left
 * out: the server reads many of these. Texts are cut at 500 characters; NUL, which Postgres cannot keep, and lone
 * surrogates become U+FFFD.
 *
 * Written by hand because, in one process, it runs beside the gateway for every request.
 */
export function writeEventRow(event: UsageEvent): string {
  let row = `{"id":"${event.attemptId}"`;
  row += text("req", event.requestId);
  row += number("idx", event.attemptIndex);
  row += text("k", event.keyId);
  row += text("t", event.teamId);
  row += text("o", event.organizationId);
  row += text("u", event.userId);
  row += tags(event.tags);
  row += number("op", event.operation);
  row += number("dia", event.dialect);
  row += flag("str", event.stream);
  row += text("rm", event.requestedModel);
  row += text("p", event.provider);
  row += text("m", event.model);
  row += number("out", event.outcome);
  row += number("err", event.errorReason);
  row += number("http", event.httpStatus);
  row += usage(event.usage);
  row += integer("cost", event.costNanosUsd);
  row += text("src", event.priceSource);
  row += texts("lease", event.leaseIds);
  row += number("fin", event.finishReason);
  row += text("prid", event.providerRequestId);
  row += time("st", event.startTime);
  row += time("ft", event.firstTokenLatency);
  row += time("tt", event.totalLatency);
  row += flag("final", event.final);
  return `${row}}`;
}

function usage(value: Usage | undefined): string {
  return value === undefined
    ? ""
    : integer("ui", value.uncachedInputTokens) +
        integer("cr", value.cacheReadTokens) +
        integer("cw", value.cacheWriteTokens) +
        integer("ot", value.outputTokens) +
        integer("rt", value.reasoningTokens) +
        integer("cw1", value.cacheWrite1hTokens) +
        integer("ai", value.audioInputTokens) +
        integer("ao", value.audioOutputTokens) +
        integer("ii", value.imageInputTokens ?? 0n) +
        integer("io", value.imageOutputTokens ?? 0n) +
        flag("est", value.estimated);
}

function tags(value: Readonly<Record<string, string>>): string {
  let entries = "";
  for (const name in value) {
    entries += `${entries === "" ? "" : ","}${quote(name)}:${quote(value[name] ?? "")}`;
  }
  return entries === "" ? "" : `,"tags":{${entries}}`;
}

function text(name: string, value: string): string {
  return value === "" ? "" : `,"${name}":${quote(value)}`;
}

function texts(name: string, values: readonly string[]): string {
  return values.length === 0 ? "" : `,"${name}":[${values.map(quote).join(",")}]`;
}

function quote(value: string): string {
  const short = value.length > maxTextLength ? value.slice(0, maxTextLength) : value;
  return plain.test(short) ? `"${short}"` : JSON.stringify(short.toWellFormed().replaceAll("\0", "\ufffd"));
}

function number(name: string, value: number): string {
  return value === 0 ? "" : `,"${name}":${value}`;
}

function integer(name: string, value: bigint): string {
  return value === 0n ? "" : `,"${name}":${value}`;
}

function flag(name: string, value: boolean): string {
  return value ? `,"${name}":true` : "";
}

function time(name: string, value: Timestamp | Duration | undefined): string {
  return value === undefined ? "" : `,"${name}":${microseconds(value)}`;
}

function microseconds(value: Duration | Timestamp): number | bigint {
  const micros = Math.trunc(value.nanos / 1_000);
  const quick = Number(value.seconds) * 1_000_000 + micros;
  // Exact until the year 2255, and cheaper than bigint.
  return Number.isSafeInteger(quick) ? quick : value.seconds * 1_000_000n + BigInt(micros);
}
