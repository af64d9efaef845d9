import assert from "node:assert/strict";
import { test } from "node:test";
import { createModuleManager } from "./create-module-manager.ts";
import type { Module } from "./module.ts";

interface Recorded {
  readonly steps: string[];
  module(name: string, needs?: readonly string[], more?: Partial<Module>): Module;
}

function recorder(): Recorded {
  const steps: string[] = [];
  return {
    steps,
    module: (name, needs = [], more = {}) => ({
      name,
      needs,
      start: async () => void steps.push(`start ${name}`),
      drain: async () => void steps.push(`drain ${name}`),
      stop: async () => void steps.push(`stop ${name}`),
      ...more,
    }),
  };
}

const failOnStopError = {
  onStopError: (module: string, error: unknown) => assert.fail(`${module} did not stop: ${String(error)}`),
};

test("starts in the order of needs, drains and stops in reverse", async () => {
  const { steps, module } = recorder();
  const manager = createModuleManager(
    [module("c", ["b"]), module("a"), module("b", ["a", "elsewhere"])],
    failOnStopError,
  );
  await manager.start();
  await manager.stop(1_000);
  assert.deepEqual(steps, [
    "start a",
    "start b",
    "start c",
    "drain c",
    "drain b",
    "drain a",
    "stop c",
    "stop b",
    "stop a",
  ]);
});

test("stops what had started when a later module fails, and names the one that failed", async () => {
  const { steps, module } = recorder();
  const broken = module("b", ["a"], { start: () => Promise.reject(new Error("no port")) });
  const manager = createModuleManager([module("a"), broken, module("c", ["b"])], failOnStopError);
  await assert.rejects(manager.start(), /module b failed to start: no port/);
  assert.deepEqual(steps, ["start a", "stop a"]);
});

test("stops the others when one fails to drain and to stop", async () => {
  const { steps, module } = recorder();
  const errors: string[] = [];
  const fail = (): Promise<never> => Promise.reject(new Error("stuck"));
  const manager = createModuleManager([module("a"), module("b", ["a"], { drain: fail, stop: fail })], {
    onStopError: (name) => errors.push(name),
  });
  await manager.start();
  await manager.stop(1_000);
  assert.deepEqual(errors, ["b", "b"]);
  assert.deepEqual(steps, ["start a", "start b", "drain a", "stop a"]);
});

test("tells which modules cannot serve, and that nothing can before the start", async () => {
  const { module } = recorder();
  let reason: string | undefined = "no keys yet";
  const manager = createModuleManager([module("a"), module("b", [], { notReady: () => reason })], failOnStopError);
  assert.equal(manager.notReady().length, 1);
  await manager.start();
  assert.deepEqual(manager.notReady(), [{ module: "b", reason: "no keys yet" }]);
  reason = undefined;
  assert.deepEqual(manager.notReady(), []);
});

test("refuses circles and two modules of one name", () => {
  const { module } = recorder();
  assert.throws(() => createModuleManager([module("a", ["b"]), module("b", ["a"])], failOnStopError), /a → b → a/);
  assert.throws(() => createModuleManager([module("a"), module("a")], failOnStopError), /two modules are named a/);
});
