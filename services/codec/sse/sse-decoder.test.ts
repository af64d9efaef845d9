import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError } from "../codec.ts";
import { createSseDecoder, type SseEvent } from "./sse-decoder.ts";
import { writeSseData, writeSseEvent } from "./write-sse.ts";

function decode(pieces: readonly Uint8Array[]): SseEvent[] {
  const decoder = createSseDecoder();
  return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
}

function decodeText(text: string): SseEvent[] {
  return decode([Buffer.from(text)]);
}

const table: readonly { name: string; text: string; expected: readonly SseEvent[] }[] = [
  { name: "plain data", text: "data: a\n\n", expected: [{ event: "message", data: "a" }] },
  { name: "no space after the colon", text: "data:a\n\n", expected: [{ event: "message", data: "a" }] },
  { name: "only one space is dropped", text: "data:  a \n\n", expected: [{ event: "message", data: " a " }] },
  {
    name: "several lines of data",
    text: "data: a\ndata\ndata: b\n\n",
    expected: [{ event: "message", data: "a\n\nb" }],
  },
  { name: "CRLF", text: "event: x\r\ndata: a\r\n\r\n", expected: [{ event: "x", data: "a" }] },
  { name: "CR", text: "event: x\rdata: a\r\r", expected: [{ event: "x", data: "a" }] },
  {
    name: "line ends of all kinds in one stream",
    text: "data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\n\n",
    expected: ["a", "b", "c", "d", "e"].map((data) => ({ event: "message", data })),
  },
  { name: "a byte order mark", text: "\uFEFFdata: a\n\n", expected: [{ event: "message", data: "a" }] },
  {
    name: "comments and retry",
    text: ": ping\n\nretry: 10\n\n: x\ndata: a\n\n",
    expected: [{ event: "message", data: "a" }],
  },
  { name: "an id", text: "id: 7\ndata: a\n\n", expected: [{ event: "message", data: "a", id: "7" }] },
  { name: "blank lines at the start", text: "\n\r\n\ndata: a\n\n", expected: [{ event: "message", data: "a" }] },
  { name: "text beyond ASCII", text: "data: é€😀\n\n", expected: [{ event: "message", data: "é€😀" }] },
  { name: "a missing last blank line", text: "data: a\n", expected: [{ event: "message", data: "a" }] },
  { name: "a missing last blank line after CR", text: "data: a\r", expected: [{ event: "message", data: "a" }] },
  { name: "a last line that is not whole", text: "data: a\n\ndata: b", expected: [{ event: "message", data: "a" }] },
  {
    name: "what the writers write",
    text: writeSseData("1") + writeSseEvent("e", "2"),
    expected: [
      { event: "message", data: "1" },
      { event: "e", data: "2" },
    ],
  },
];

for (const { name, text, expected } of table) {
  test(`reads ${name}, cut at every byte`, () => {
    const bytes = Buffer.from(text);
    assert.deepEqual(decode([bytes]), expected);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.deepEqual(decode([bytes.subarray(0, cut), bytes.subarray(cut)]), expected, `cut at ${cut}`);
    }
    assert.deepEqual(decode(Array.from(bytes, (byte) => Uint8Array.of(byte))), expected, "byte by byte");
  });
}

test("reads the same events however the bytes are cut", () => {
  const line = fc.constantFrom("data: a", "data:é", "event: x", ": c", "id: 1", "data", "junk", "");
  const end = fc.constantFrom("\n", "\r", "\r\n");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(line, end), { maxLength: 30 }),
      fc.array(fc.nat(200), { maxLength: 8 }),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map(([text, terminator]) => text + terminator).join(""));
        const borders = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
        const pieces = borders.slice(1).map((border, index) => bytes.subarray(borders[index], border));
        assert.deepEqual(decode(pieces), decode([bytes]));
      },
    ),
  );
});

test("replaces bytes that are not UTF-8", () => {
  const bytes = Buffer.concat([Buffer.from("data: "), Buffer.of(0xff), Buffer.from("\n\n")]);
  assert.deepEqual(decode([bytes]), [{ event: "message", data: "\uFFFD" }]);
});

test("reports what is pending, and refuses an event larger than the cap", () => {
  const decoder = createSseDecoder(10);
  decoder.push(Buffer.from("data: 1234"));
  assert.equal(decoder.pendingBytes, 10);
  assert.throws(
    () => decoder.push(Buffer.from("5")),
    (error) => error instanceof CodecError && error.code === "frame_too_large",
  );
});

test("does not hold back an event that is whole", () => {
  assert.deepEqual(decodeText("data: 1\n\n").length, 1);
  const decoder = createSseDecoder();
  decoder.push(Buffer.from("data: 1\r\n\r\n"));
  assert.equal(decoder.pendingBytes, 0);
});

test("says that a stream was cut when it ends within a line, unless that line is all of an event", () => {
  for (const [text, isCut, events] of [
    ['data: {"a":1}\n\ndata: {"b', true, 1],
    ['data: {"a":1}\n\ndata: {"b":2}', false, 1],
    ['data: {"a":1}\n\ndata: [DONE]', false, 1],
    ['data: {"a":1}\n\ndata: [DO', true, 1],
    ['data: {"a":1}\n\nda', true, 1],
    ['data: {"a":1}\n', false, 1],
    ['data: {"a":1}\n\n', false, 1],
  ] as const) {
    const decoder = createSseDecoder();
    const found = [...decoder.push(Buffer.from(text)), ...decoder.end()];
    assert.deepEqual([decoder.isCut, found.length], [isCut, events], text);
  }
});
