import assert from "node:assert/strict";
import { test } from "node:test";
import { createSseBorderCutter } from "./sse-border-cutter.ts";

const stream = Buffer.from("data: é\n\ndata: b\r\n\r\n: c\r\rdata: d\n\r\nevent: e\r\n\ndata: f\n\n");

test("returns every byte once and in order, cut at every byte", () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const cutter = createSseBorderCutter();
    const whole = [cutter.push(stream.subarray(0, cut)), cutter.push(stream.subarray(cut))];
    assert.deepEqual(Buffer.concat(whole), stream, `cut at ${cut}`);
    assert.equal(cutter.pendingBytes, 0);
  }
});

test("does not copy when there is no rest from before", () => {
  const bytes = Buffer.from("data: a\n\ndata: b");
  const cutter = createSseBorderCutter();
  const whole = cutter.push(bytes);
  assert.equal(whole.toString(), "data: a\n\n");
  assert.equal(whole.buffer, bytes.buffer);
  assert.equal(cutter.pendingBytes, 7);
  assert.equal(cutter.push(Buffer.from("\n\n")).toString(), "data: b\n\n");
});

test("returns only whole events", () => {
  const cutter = createSseBorderCutter();
  assert.equal(cutter.push(Buffer.from("data: a\r\n")).length, 0);
  assert.equal(cutter.push(Buffer.from("data: b\r")).length, 0);
  assert.equal(cutter.push(Buffer.from("\n")).length, 0);
  assert.equal(cutter.push(Buffer.from("\r\nx")).toString(), "data: a\r\ndata: b\r\n\r\n");
  assert.equal(cutter.takeRest().toString(), "x");
  assert.equal(cutter.pendingBytes, 0);
});

test("bounds an event that never ends, and an event in one piece alike", () => {
  const cutter = createSseBorderCutter(100);
  assert.throws(() => {
    for (let index = 0; index < 20; index++) {
      cutter.push(Buffer.from("data: aaaa"));
    }
  }, /larger than 100 bytes/);
});

for (const border of ["\n\n", "\r\r", "\r\n\r\n", "\n\r\n", "\n\r", "\r\n\n", "\r\n\r"]) {
  test(`takes ${JSON.stringify(border)} for the end of an event as soon as it is there, cut anywhere`, () => {
    const text = `data: a${border}`;
    for (let cut = 0; cut <= text.length; cut++) {
      const cutter = createSseBorderCutter();
      const whole = [cutter.push(Buffer.from(text.slice(0, cut))), cutter.push(Buffer.from(text.slice(cut)))];
      assert.equal(Buffer.concat(whole).toString(), text, `cut at ${cut}`);
    }
  });
}

test("does not hold back the second half of a line end whose first half ended an event", () => {
  const cutter = createSseBorderCutter();
  const whole = ["data: a", "\n\r", "\n"].map((piece) => cutter.push(Buffer.from(piece)).toString());
  assert.deepEqual(whole, ["", "data: a\n\r", "\n"]);
  assert.equal(cutter.pendingBytes, 0);
});
