import type { ModelEntry } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { affordableOutputTokens, boundCost } from "#kit/pricing/price-usage.ts";
import type { Inspection } from "./gateway-call.ts";

/** What a request may cost. */
export interface CostBound {
  /** What the caller's own limits, or the usual ones, come to. */
  readonly desiredNanosUsd: bigint;
  /** The least hold with which the request makes sense. */
  readonly minimumNanosUsd: bigint;
  /** Input and output tokens, for the token rate limit. */
  readonly tokens: bigint;
}

/** Held for a request without an output limit, where the budget allows it. */
const usualOutputTokens = 32_768n;
/** A request without an output limit is refused when its budget covers fewer. */
const leastOutputTokens = 16n;
/** Counted by the token rate limit for a request without an output limit. */
const expectedOutputTokens = 1_024n;

/** Bounds the cost of a request of a key with a budget. Throws when the model has no price. */
export function boundRequestCost(inspection: Inspection, model: ModelEntry): CostBound {
  const ceiling = model.priceCeiling;
  if (ceiling === undefined) {
    throw gatewayError(
      ErrorReason.MODEL_NOT_PRICED,
      `The model ${JSON.stringify(model.name)} has no price, so it cannot be used by a key with a budget.`,
      { metadata: { param: "model" } },
    );
  }
  const { inputTokenBound, outputTokenLimit, candidates } = inspection;
  const cost = (outputTokens: bigint): bigint => boundCost(ceiling, inputTokenBound, outputTokens * candidates);
  return {
    desiredNanosUsd: cost(outputTokenLimit ?? usualOutputTokens),
    minimumNanosUsd: cost(outputTokenLimit ?? leastOutputTokens),
    tokens: boundTokens(inspection),
  };
}

/** Input and output tokens that the token rate limit counts until the real ones are known. */
export function boundTokens(inspection: Inspection): bigint {
  // The bound of the input is its bytes; the limit is about likely tokens, and is corrected when the request settles.
  return (
    inspection.inputTokenBound / 4n + (inspection.outputTokenLimit ?? expectedOutputTokens) * inspection.candidates
  );
}

/** The output limit to set for a caller that set none, so that the hold covers the answer; 0 when none is needed. */
export function imposedOutputTokens(inspection: Inspection, model: ModelEntry, heldNanosUsd: bigint): bigint {
  const ceiling = model.priceCeiling;
  if (inspection.outputTokenLimit !== undefined || ceiling === undefined || heldNanosUsd === 0n) {
    return 0n;
  }
  const affordable = affordableOutputTokens(ceiling, heldNanosUsd, inspection.inputTokenBound) / inspection.candidates;
  return affordable > usualOutputTokens ? usualOutputTokens : affordable;
}
