import { type Duration, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { FinishReason, Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Outcome, UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";

/** The columns that hold tokens. */
export interface TokenColumns {
  readonly uncached_input_tokens: bigint;
  readonly cache_read_tokens: bigint;
  readonly cache_write_tokens: bigint;
  readonly output_tokens: bigint;
  readonly reasoning_tokens: bigint;
  readonly cache_write_1h_tokens: bigint;
  readonly audio_input_tokens: bigint;
  readonly audio_output_tokens: bigint;
  readonly image_input_tokens: bigint;
  readonly image_output_tokens: bigint;
  readonly estimated: boolean;
}

/** A row of accounting.attempts; times in microseconds since 1970. */
export interface AttemptRow extends TokenColumns {
  readonly attempt_id: string;
  readonly start_us: bigint;
  readonly request_id: string;
  readonly attempt_index: number;
  readonly final: boolean;
  readonly key_id: string;
  readonly team_id: string;
  readonly organization_id: string;
  readonly tags: Record<string, string>;
  readonly operation: number;
  readonly dialect: number;
  readonly stream: boolean;
  readonly requested_model: string;
  readonly provider: string;
  readonly model: string;
  readonly outcome: number;
  readonly error_reason: number;
  readonly finish_reason: number;
  readonly http_status: number;
  readonly cost_nanos: bigint;
  readonly price_source: string;
  readonly lease_ids: string[];
  readonly user_id: string;
  readonly provider_request_id: string;
  readonly first_token_us: bigint | null;
  readonly total_us: bigint | null;
}

/** What to select for an AttemptRow. */
export const attemptColumns = `attempt_id, (extract(epoch FROM start_time) * 1000000)::bigint AS start_us, request_id,
  attempt_index, final, key_id, team_id, organization_id, tags, operation, dialect, stream, requested_model, provider,
  model, outcome, error_reason, finish_reason, http_status, uncached_input_tokens, cache_read_tokens,
  cache_write_tokens, output_tokens, reasoning_tokens, cache_write_1h_tokens, audio_input_tokens, audio_output_tokens,
  image_input_tokens, image_output_tokens,
  estimated, cost_nanos, price_source, lease_ids, user_id, provider_request_id, first_token_us, total_us`;

/** Makes the event of a row again. */
export function mapAttemptRow(row: AttemptRow): UsageEvent {
  return {
    $typeName: "penstock.usage.v1.UsageEvent",
    attemptId: row.attempt_id,
    requestId: row.request_id,
    attemptIndex: row.attempt_index,
    keyId: row.key_id,
    teamId: row.team_id,
    organizationId: row.organization_id,
    tags: row.tags,
    // The numbers came from these enumerations; those of a newer version are passed on, as protobuf does.
    operation: row.operation as Operation,
    dialect: row.dialect as Dialect,
    outcome: row.outcome as Outcome,
    errorReason: row.error_reason as ErrorReason,
    finishReason: row.finish_reason as FinishReason,
    stream: row.stream,
    requestedModel: row.requested_model,
    provider: row.provider,
    model: row.model,
    httpStatus: row.http_status,
    usage: mapTokenColumns(row),
    costNanosUsd: row.cost_nanos,
    priceSource: row.price_source,
    leaseIds: row.lease_ids,
    userId: row.user_id,
    providerRequestId: row.provider_request_id,
    startTime: timestampOf(row.start_us),
    ...(row.first_token_us === null ? {} : { firstTokenLatency: durationOf(row.first_token_us) }),
    ...(row.total_us === null ? {} : { totalLatency: durationOf(row.total_us) }),
    final: row.final,
  };
}

/** Makes the usage of token columns. */
export function mapTokenColumns(row: TokenColumns): Usage {
  return {
    $typeName: "penstock.type.v1.Usage",
    uncachedInputTokens: row.uncached_input_tokens,
    cacheReadTokens: row.cache_read_tokens,
    cacheWriteTokens: row.cache_write_tokens,
    outputTokens: row.output_tokens,
    reasoningTokens: row.reasoning_tokens,
    cacheWrite1hTokens: row.cache_write_1h_tokens,
    audioInputTokens: row.audio_input_tokens,
    audioOutputTokens: row.audio_output_tokens,
    estimated: row.estimated,
    ...(row.image_input_tokens === 0n ? {} : { imageInputTokens: row.image_input_tokens }),
    ...(row.image_output_tokens === 0n ? {} : { imageOutputTokens: row.image_output_tokens }),
  };
}

function timestampOf(us: bigint): Timestamp {
  // Before 1970 the remainder is negative, and nanos must not be.
  const rest = ((us % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: (us - rest) / 1_000_000n,
    nanos: Number(rest) * 1_000,
  };
}

function durationOf(us: bigint): Duration {
  return {
    $typeName: "google.protobuf.Duration",
    seconds: us / 1_000_000n,
    nanos: Number(us % 1_000_000n) * 1_000,
  };
}
