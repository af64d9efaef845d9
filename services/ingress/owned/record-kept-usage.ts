import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { Json, JsonObject } from "#codec/codec.ts";
import type { OwnedObject } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { priceUsage } from "#kit/pricing/price-usage.ts";
import type { ModelDirectory } from "../snapshots/model-directory.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";

/** What recording needs. */
export interface RecordKeptUsageDeps {
  readonly models: ModelDirectory;
  readonly recorder: UsageRecorder;
}

/** Providers charge half of their list price for what is answered in a batch. */
const batchShare = 2n;

/**
 * Records what a batch or a background response used, once its provider tells: under the attempt id that was chosen when it
 * was made, so that however often it is asked for, the ledger counts it once. Does nothing while nothing is told.
 */
export async function recordKeptUsage(
  object: OwnedObject,
  answer: JsonObject,
  operation: Operation,
  deps: RecordKeptUsageDeps,
): Promise<void> {
  const usage = readUsage(answer["usage"]);
  if (usage === undefined || object.usageAttemptId === "" || object.owner === undefined) {
    return;
  }
  const isBatch = operation === Operation.BATCH_USAGE;
  const model = isBatch && typeof answer["model"] === "string" ? answer["model"] : object.model;
  const prices = model === "" ? undefined : await findPrices(`${object.provider}/${model}`, deps.models);
  const full = prices === undefined ? 0n : priceUsage(prices, usage);
  const { keyId, teamId, organizationId } = object.owner;
  deps.recorder.record(
    {
      $typeName: "penstock.usage.v1.UsageEvent",
      attemptId: object.usageAttemptId,
      requestId: object.usageAttemptId,
      attemptIndex: 0,
      keyId,
      teamId,
      organizationId,
      tags: {},
      operation,
      dialect: isBatch ? Dialect.OPENAI_CHAT : Dialect.OPENAI_RESPONSES,
      stream: false,
      requestedModel: model,
      provider: object.provider,
      model,
      outcome: Outcome.SUCCEEDED,
      errorReason: ErrorReason.UNSPECIFIED,
      httpStatus: 200,
      usage,
      costNanosUsd: isBatch ? (full + batchShare - 1n) / batchShare : full,
      priceSource: prices === undefined ? "" : isBatch ? "half of the list price" : "list price",
      leaseIds: [],
      finishReason: FinishReason.UNSPECIFIED,
      providerRequestId: "",
      startTime: timestampNow(),
      final: true,
      userId: "",
    },
    () => undefined,
  );
}

/** The usage that OpenAI tells of responses and batches; undefined where it tells none. */
function readUsage(value: Json | undefined): Usage | undefined {
  const usage = objectOf(value);
  const input = tokensOf(usage?.["input_tokens"]);
  const output = tokensOf(usage?.["output_tokens"]);
  if (input + output === 0n) {
    return undefined;
  }
  const cached = tokensOf(objectOf(usage?.["input_tokens_details"])?.["cached_tokens"]);
  const cacheRead = cached < input ? cached : input;
  const reasoning = tokensOf(objectOf(usage?.["output_tokens_details"])?.["reasoning_tokens"]);
  return {
    ...estimateUsage(0, 0),
    uncachedInputTokens: input - cacheRead,
    cacheReadTokens: cacheRead,
    outputTokens: output,
    reasoningTokens: reasoning < output ? reasoning : output,
    estimated: false,
  };
}

function tokensOf(value: Json | undefined): bigint {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? BigInt(value) : 0n;
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  // Neither null nor an array.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** A target that is gone from the configuration has no price. */
async function findPrices(target: string, models: ModelDirectory): Promise<TokenPrices | undefined> {
  try {
    return (await models.find(target)).priceCeiling;
  } catch {
    // The usage is recorded all the same, without a cost.
    return undefined;
  }
}
