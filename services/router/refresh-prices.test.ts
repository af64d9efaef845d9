import assert from "node:assert/strict";
import { test } from "node:test";
import { pricesConfig } from "./config.ts";
import { swapWhenPricesChanged } from "./refresh-prices.ts";
import { createTableFeed } from "./table-feed.ts";
import { buildRoutingTable } from "./targets.ts";

const build = (input: string) => () =>
  buildRoutingTable({}, pricesConfig.parse({ overrides: { "a/m": { input, output: "$2/M" } } }), [
    { name: "a", kind: "openai-compatible" },
  ]);

test("a new price reaches models that are known, and nothing is swapped without one", () => {
  const feed = createTableFeed(build("$1/M")());
  const first = feed.current;
  first.find("a/m");
  swapWhenPricesChanged(feed, build("$1/M"));
  assert.equal(feed.current, first);
  swapWhenPricesChanged(feed, build("$3/M"));
  assert.notEqual(feed.current, first);
  assert.equal(feed.current.find("a/m")?.groups[0]?.[0]?.prices?.inputNanosUsdPerMillion, 3_000_000_000n);
});
