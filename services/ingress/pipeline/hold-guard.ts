import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { Admission } from "./admit.ts";
import type { GatewayCall } from "./gateway-call.ts";
import { affordableOutputTokens, boundCost } from "#kit/pricing/price-usage.ts";

/** Events that hold no token, such as those that begin and end an answer. */
const emptyEvents = 64n;

/** What a guard watches over. */
export interface GuardedHold {
  readonly requestId: string;
  readonly heldNanosUsd: bigint;
  /** No tokenizer makes more input tokens of the request. */
  readonly inputTokenBound: bigint;
  /** Of the target that answers. */
  readonly prices: TokenPrices;
}

/**
 * Watches that a stream costs no more than is held for it, also where a provider does not keep to its output limit: a
 * hold that is used up is doubled, or the stream has to end. An event counts as one token; most hold one, none less.
 */
export class HoldGuard {
  readonly #quota: Client<typeof QuotaService>;
  readonly #hold: GuardedHold;
  #heldNanosUsd: bigint;
  #coveredEvents: bigint;

  constructor(quota: Client<typeof QuotaService>, hold: GuardedHold) {
    this.#quota = quota;
    this.#hold = hold;
    this.#heldNanosUsd = hold.heldNanosUsd;
    this.#coveredEvents = this.#cover();
  }

  /** Whether the hold covers a stream of so many events. */
  covers(events: number): boolean {
    return BigInt(events) <= this.#coveredEvents;
  }

  /** Holds more. False when the budget does not have it, or cannot be asked: the stream ends at its hold. */
  async extend(): Promise<boolean> {
    try {
      const { heldNanosUsd } = await this.#quota.extend({
        $typeName: "penstock.quota.v1.ExtendRequest",
        requestId: this.#hold.requestId,
        totalNanosUsd: this.#heldNanosUsd * 2n,
      });
      this.#heldNanosUsd = heldNanosUsd;
    } catch (error) {
      if (refusals.has(ConnectError.from(error).code)) {
        return false;
      }
      throw error;
    }
    this.#coveredEvents = this.#cover();
    return true;
  }

  #cover(): bigint {
    const { prices, inputTokenBound } = this.#hold;
    // A target that is free has no limit to keep to.
    return boundCost(prices, 0n, 1n) === boundCost(prices, 0n, 0n)
      ? BigInt(Number.MAX_SAFE_INTEGER)
      : affordableOutputTokens(prices, this.#heldNanosUsd, inputTokenBound) + emptyEvents;
  }
}

/** Makes the guard of a request that has begun to be answered; undefined where no budget pays for a stream. */
export function createHoldGuard(
  quota: Client<typeof QuotaService>,
  { requestId, inspection: { stream, inputTokenBound } }: GatewayCall,
  admission: Admission | undefined,
  prices: TokenPrices | undefined,
): HoldGuard | undefined {
  if (!stream || prices === undefined || admission?.pricedOnly !== true) {
    return undefined;
  }
  const heldNanosUsd = admission.held?.heldNanosUsd ?? 0n;
  return new HoldGuard(quota, { requestId, heldNanosUsd, inputTokenBound, prices });
}

const refusals: ReadonlySet<Code> = new Set([
  Code.ResourceExhausted,
  Code.NotFound,
  Code.Unavailable,
  Code.DeadlineExceeded,
]);
