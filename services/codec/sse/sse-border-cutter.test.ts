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
