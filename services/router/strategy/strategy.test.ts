import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ProviderErrorClass, ProviderErrorSchema } from "#gen/penstock/type/v1/error_pb.ts";
import { modelsConfig, pricesConfig } from "../config.ts";
import { buildRoutingTable, checkRouting } from "../targets.ts";
import { backOffMs, nextStepAfter } from "./next-step.ts";
import { orderTargets } from "./order-targets.ts";

const models = modelsConfig.parse({
  a: { route: [{ target: "p/one", weight: 3 }, { target: "p/two" }], fallback: ["b"] },
  b: { route: [{ target: "q/three" }, { target: "p/one" }] },
});
const prices = pricesConfig.parse({ overrides: { "p/two": { input: "$1/M", output: "$1/M" } } });
const providers = [
  { name: "p", kind: "openai-compatible" },
  { name: "q", kind: "echo" },
];
const table = buildRoutingTable(models, prices, providers);
const model = table.find("a");
assert.ok(model);
const ids = (random: number, cooling: readonly string[] = [], pricedOnly = false): readonly string[] =>
  orderTargets(model, {
    random: () => random,
    cooling: (target) => cooling.includes(target.id),
    operation: Operation.CHAT,
    pricedOnly,
  }).map((target) => target.id);

test("draws the targets of a route by weight, each once, and fallbacks behind them", () => {
  assert.deepEqual(ids(0), ["p/one", "p/two", "q/three"]);
  assert.deepEqual(ids(0.74), ["p/one", "p/two", "q/three"]);
  assert.deepEqual(ids(0.76), ["p/two", "p/one", "q/three"]);
});

test("puts targets that rest behind all others", () => {
  assert.deepEqual(ids(0, ["p/one"]), ["p/two", "q/three", "p/one"]);
});

test("leaves targets without a price out where every cost has to be known", () => {
  assert.deepEqual(ids(0, [], true), ["p/two", "q/three"]);
});

test("addresses any model of a configured provider, and none of another", () => {
  assert.equal(table.find("p/some/model")?.groups[0]?.[0]?.model, "some/model");
  assert.equal(table.find("x/model"), undefined);
  assert.equal(table.find("p/"), undefined);
  assert.equal(table.find("nothing"), undefined);
  assert.equal(table.find("constructor"), undefined);
});

test("finds targets and fallbacks that do not exist", () => {
  const wrong = modelsConfig.parse({ a: { route: [{ target: "x/m" }], fallback: ["a", "c"] } });
  assert.deepEqual(
    checkRouting(wrong, prices, providers).map((problem) => problem.path.join(".")),
    ["models.a.route.0.target", "models.a.fallback.0", "models.a.fallback.1"],
  );
});

test("gives up where the request is at fault, and repeats a target only where it cannot have billed", () => {
  const step = (errorClass: ProviderErrorClass, mayHaveBilled = false) =>
    nextStepAfter(create(ProviderErrorSchema, { errorClass, mayHaveBilled }));
  assert.equal(step(ProviderErrorClass.INVALID_REQUEST), "give-up");
  assert.equal(step(ProviderErrorClass.CONTENT_FILTER), "give-up");
  assert.equal(step(ProviderErrorClass.RATE_LIMITED), "any-target");
  assert.equal(step(ProviderErrorClass.UNREACHABLE), "any-target");
  assert.equal(step(ProviderErrorClass.OVERLOADED, true), "other-target");
  assert.equal(step(ProviderErrorClass.TIMEOUT, true), "other-target");
  assert.equal(step(ProviderErrorClass.AUTH), "other-target");
});

test("waits longer each time, and never shorter than it was asked to", () => {
  assert.equal(
    backOffMs(0, undefined, () => 1),
    250,
  );
  assert.equal(
    backOffMs(3, undefined, () => 1),
    2_000,
  );
  assert.equal(
    backOffMs(99, undefined, () => 0),
    4_000,
  );
  assert.equal(
    backOffMs(0, 5_000, () => 1),
    5_000,
  );
});
