import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { ByteStream, WholeText } from "./byte-answers.ts";

const used = estimateUsage(8, 3);

test("passes bytes on as they come, also those that are no text", () => {
  const reader = new ByteStream("audio/mpeg", used);
  assert.equal(reader.contentSeen, false);
  assert.equal(reader.usageSoFar, undefined);
  assert.equal(reader.finish(), undefined);
  const bytes = Buffer.from([0xff, 0xf3, 0x00, 0x80]);
  assert.equal(reader.push(bytes), bytes);
  assert.equal(reader.contentSeen, true);
  assert.equal(reader.usageSoFar, used);
  assert.equal(reader.finish()?.end.usage, used);
});

test("shows a text when it is whole, and counts it then", () => {
  const reader = new WholeText("text/vtt", (text) => estimateUsage(0, text.length));
  assert.equal(reader.push(Buffer.from("WEB")).length, 0);
  assert.equal(reader.push(Buffer.from("VTT")).length, 0);
  assert.equal(reader.contentSeen, false);
  const { bytes, end } = reader.finish();
  assert.equal(Buffer.from(bytes).toString(), "WEBVTT");
  assert.equal(end.usage?.outputTokens, 6n);
});
