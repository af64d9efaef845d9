import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quoteJson } from "./quote-json.ts";

test("writes every text as JSON.stringify does", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => quoteJson(text) === JSON.stringify(text)));
  for (const text of [
    "",
    "plain",
    'a"b',
    "a\\b",
    "line\nbreak",
    "\u2028",
    "\ud800",
    "\ud83d\ude00",
    "é",
    "\x7f",
    "\0",
  ]) {
    assert.equal(quoteJson(text), JSON.stringify(text));
  }
});
