import { equals } from "@bufbuild/protobuf";
import { TokenPricesSchema } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { TableFeed } from "./table-feed.ts";
import type { RoutedModel, RoutingTable } from "./targets.ts";

/** Prices of the catalogue begin and end, some every day: they are looked up again so often. */
const refreshMs = 60_000;

/** Swaps the table whenever a list price has changed since it was built. Returns what ends that. */
export function refreshPrices(feed: TableFeed, build: () => RoutingTable): () => void {
  const timer = setInterval(() => swapWhenPricesChanged(feed, build), refreshMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Swaps the table if a newly built one has other prices for any model that is known. */
export function swapWhenPricesChanged(feed: TableFeed, build: () => RoutingTable): void {
  const table = build();
  if (feed.current.known().some((model) => !hasSamePrices(model, table.find(model.name)))) {
    feed.replace(table);
  }
}

function hasSamePrices(model: RoutedModel, other: RoutedModel | undefined): boolean {
  const [before, after] = [model, other].map((each) => each?.groups.flat() ?? []);
  return (before ?? []).every(({ prices }, index) => {
    const now = after?.[index]?.prices;
    return prices === undefined || now === undefined ? prices === now : equals(TokenPricesSchema, prices, now);
  });
}
