import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { freePrices } from "./find-prices.ts";

/**
 * What an operation costs at a target of these prices. Counting tokens is free at every provider, and classifying is
 * where no price says otherwise; anything else without a price is unpriced: undefined.
 */
export function pricesOfOperation(operation: Operation, prices: TokenPrices | undefined): TokenPrices | undefined {
  switch (operation) {
    case Operation.COUNT_TOKENS:
      return freePrices;
    case Operation.MODERATE:
      return prices ?? freePrices;
    default:
      return prices;
  }
}
