import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFacts, formatTable } from "./format-table.ts";
import { readMoney, readTagOptions, readTimeOption } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

test("reads amounts with and without a dollar sign, exactly", () => {
  assert.equal(readMoney("--budget", "$0.000000001"), 1n);
  assert.equal(readMoney("--budget", "5"), 5_000_000_000n);
  assert.throws(() => readMoney("--budget", "five"), UsageError);
  assert.throws(() => readMoney("--budget", "0.0000000001"), UsageError);
});

test("reads a time, and a span from now", () => {
  assert.equal(readTimeOption("--expires", "1970-01-02", 5).seconds, 86_400n);
  assert.equal(readTimeOption("--expires", "1d", 1_000).seconds, 86_401n);
  assert.throws(() => readTimeOption("--expires", "1970-99-99", 0), UsageError);
  assert.throws(() => readTimeOption("--expires", "soon", 0), UsageError);
});

test("reads tags whose values have equal signs", () => {
  assert.deepEqual(readTagOptions(["a=b=c", "d="]), { a: "b=c", d: "" });
  assert.throws(() => readTagOptions(["=a"]), UsageError);
});

test("lines columns up, and writes no control characters of what others named", () => {
  const table = formatTable(
    [{ title: "ID" }, { title: "SPENT", right: true }],
    [
      ["a", "1"],
      ["long\u001b[31m", "22"],
    ],
  );
  assert.deepEqual(table.split("\n"), ["ID        SPENT", "a             1", "long[31m     22"]);
  assert.equal(
    formatFacts([
      ["id", "a"],
      ["team", ""],
      ["expires", "x"],
    ]),
    "id       a\nexpires  x",
  );
});
