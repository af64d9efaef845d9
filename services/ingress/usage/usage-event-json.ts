import { type Duration, durationMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { DialectSchema, OperationSchema } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReasonSchema } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReasonSchema, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { OutcomeSchema, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { DescEnum } from "@bufbuild/protobuf";

/**
 * Writes an event in the proto3 JSON encoding, as protobuf's own writer does (a test compares them), at a tenth of its
 * cost: this runs for every request.
 */
export function writeUsageEventJson(event: UsageEvent): string {
  return JSON.stringify({
    attemptId: event.attemptId || undefined,
    requestId: event.requestId || undefined,
    attemptIndex: event.attemptIndex || undefined,
    keyId: event.keyId || undefined,
    teamId: event.teamId || undefined,
    organizationId: event.organizationId || undefined,
    tags: isEmpty(event.tags) ? undefined : event.tags,
    operation: nameOf(operationNames, event.operation),
    dialect: nameOf(dialectNames, event.dialect),
    stream: event.stream || undefined,
    requestedModel: event.requestedModel || undefined,
    provider: event.provider || undefined,
    model: event.model || undefined,
    outcome: nameOf(outcomeNames, event.outcome),
    errorReason: nameOf(reasonNames, event.errorReason),
    httpStatus: event.httpStatus || undefined,
    usage: event.usage === undefined ? undefined : usageJson(event.usage),
    costNanosUsd: int64(event.costNanosUsd),
    priceSource: event.priceSource || undefined,
    leaseId: event.leaseId || undefined,
    finishReason: nameOf(finishNames, event.finishReason),
    providerRequestId: event.providerRequestId || undefined,
    startTime: timestamp(event.startTime),
    firstTokenLatency: duration(event.firstTokenLatency),
    totalLatency: duration(event.totalLatency),
    final: event.final || undefined,
  });
}

function usageJson(usage: Usage): object {
  return {
    uncachedInputTokens: int64(usage.uncachedInputTokens),
    cacheReadTokens: int64(usage.cacheReadTokens),
    cacheWriteTokens: int64(usage.cacheWriteTokens),
    outputTokens: int64(usage.outputTokens),
    reasoningTokens: int64(usage.reasoningTokens),
    cacheWrite1hTokens: int64(usage.cacheWrite1hTokens),
    audioInputTokens: int64(usage.audioInputTokens),
    audioOutputTokens: int64(usage.audioOutputTokens),
    estimated: usage.estimated || undefined,
  };
}

function int64(value: bigint): string | undefined {
  return value === 0n ? undefined : value.toString();
}

function isEmpty(tags: Readonly<Record<string, string>>): boolean {
  for (const _ in tags) {
    return false;
  }
  return true;
}

/** Whole milliseconds are all that events have. */
function timestamp(value: Timestamp | undefined): string | undefined {
  if (value === undefined) {
    return undefined;
  }
  return new Date(timestampMs(value)).toISOString().replace(".000Z", "Z");
}

function duration(value: Duration | undefined): string | undefined {
  if (value === undefined) {
    return undefined;
  }
  const ms = Math.round(durationMs(value));
  const seconds = Math.trunc(ms / 1000);
  const rest = ms % 1000;
  return rest === 0 ? `${seconds}s` : `${seconds}.${String(rest).padStart(3, "0")}s`;
}

function namesOf(schema: DescEnum): ReadonlyMap<number, string> {
  return new Map(schema.values.map((value) => [value.number, value.name]));
}

const operationNames = namesOf(OperationSchema);
const dialectNames = namesOf(DialectSchema);
const outcomeNames = namesOf(OutcomeSchema);
const reasonNames = namesOf(ErrorReasonSchema);
const finishNames = namesOf(FinishReasonSchema);

function nameOf(names: ReadonlyMap<number, string>, value: number): string | number | undefined {
  return value === 0 ? undefined : (names.get(value) ?? value);
}
