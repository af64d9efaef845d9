import assert from "node:assert/strict";
import { test } from "node:test";
import { splitSseEvents } from "./split-sse-events.ts";

function split(text: string): readonly string[] {
  return splitSseEvents(Buffer.from(text)).map((event) => event.toString());
}

test("splits after each blank line, whatever ends the lines", () => {
  assert.deepEqual(split("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n"), [
    "data: a\n\n",
    "data: b\r\n\r\n",
    "data: c\r\r",
    "data: d\n\r\n",
  ]);
});

test("keeps the lines of one event together", () => {
  assert.deepEqual(split("event: x\r\ndata: a\r\n\r\n"), ["event: x\r\ndata: a\r\n\r\n"]);
});

test("loses no byte when blank lines repeat or the last one is missing", () => {
  assert.deepEqual(split("\ndata: a\n\n\ndata: b\n"), ["\n", "data: a\n\n", "\n", "data: b\n"]);
});
