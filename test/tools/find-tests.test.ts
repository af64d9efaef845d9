import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after, test } from "node:test";
import { findTests } from "./find-tests.ts";

const root = mkdtempSync(join(tmpdir(), "penstock-find-tests-"));
after(() => rmSync(root, { recursive: true, force: true }));
for (const file of [
  "services/quota/reserve.test.ts",
  "services/quota/reserve.ts",
  "services/quota-audit/audit.test.ts",
  "services/console/node_modules/left/pad.test.ts",
  "test/tools/a.test.ts",
  "test/e2e/chat.test.ts",
  "test/faults/kill.test.ts",
]) {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), "");
}

function find(...paths: string[]): unknown {
  return findTests(root, paths).map((pass) => [pass.concurrency, ...pass.files.map((file) => relative(root, file))]);
}

test("runs suites that want the machine for themselves after all others, one at a time", () => {
  assert.deepEqual(find(), [
    [
      2,
      "services/quota-audit/audit.test.ts",
      "services/quota/reserve.test.ts",
      "test/e2e/chat.test.ts",
      "test/tools/a.test.ts",
    ],
    [1, "test/faults/kill.test.ts"],
  ]);
});

test("takes only what is at or below the given paths", () => {
  assert.deepEqual(find("services/quota"), [[2, "services/quota/reserve.test.ts"]]);
  assert.deepEqual(find("./test/faults/", "test/tools/a.test.ts"), [
    [2, "test/tools/a.test.ts"],
    [1, "test/faults/kill.test.ts"],
  ]);
  assert.deepEqual(find("services/nowhere"), []);
});
