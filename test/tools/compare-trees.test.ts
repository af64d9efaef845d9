import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { compareTrees } from "./compare-trees.ts";

test("names what was changed, is missing or should not be there", (t) => {
  const root = mkdtempSync(join(tmpdir(), "penstock-compare-trees-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of [
    ["a/same.ts", "1"],
    ["a/deep/changed.ts", "1"],
    ["a/extra.ts", "1"],
    ["b/same.ts", "1"],
    ["b/deep/changed.ts", "2"],
    ["b/missing.ts", "1"],
  ] as const) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  assert.deepEqual(compareTrees(join(root, "a"), join(root, "b")), ["deep/changed.ts", "extra.ts", "missing.ts"]);
  assert.deepEqual(compareTrees(join(root, "a"), join(root, "a")), []);
  assert.deepEqual(compareTrees(join(root, "a"), join(root, "none")), ["deep/changed.ts", "extra.ts", "same.ts"]);
});
