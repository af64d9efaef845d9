import type { ModelEntry } from "#gen/penstock/router/v1/router_service_pb.ts";
import { freePrices } from "#kit/pricing/find-prices.ts";

/** Stands for the model of an operation on what a provider keeps: what has no model costs nothing. */
export const keeperEntry: ModelEntry = {
  $typeName: "penstock.router.v1.ModelEntry",
  name: "",
  providers: [],
  priceCeiling: freePrices,
  anyPriced: true,
};
