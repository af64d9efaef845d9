import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { LinkRequestSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { FrameReader } from "./frame-reader.ts";
import { frameKind, LinkProtocolError } from "./link-protocol.ts";

interface ReadFrame {
  readonly callId: number;
  readonly kind: number;
  readonly content: string;
}

function read(bytes: Uint8Array): ReadFrame[] {
  const frames: ReadFrame[] = [];
  const buffer = Buffer.from(bytes);
  new FrameReader((callId, kind, content) => frames.push({ callId, kind, content: content.toString("hex") })).read(
    buffer,
    0,
    buffer.length,
  );
  return frames;
}

const frame = fc.record({
  callId: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 0xffff_ffff })),
  kind: fc.constantFrom(frameKind.message, frameKind.part),
  content: fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.integer({ min: 0, max: 70_000 }).map((n) => Buffer.alloc(n, 7)),
  ),
});

test("writes what a general decoder reads, envelope after envelope", () => {
  fc.assert(
    fc.property(fc.array(fc.array(frame, { minLength: 1, maxLength: 8 }), { maxLength: 5 }), (envelopes) => {
      const writer = new EnvelopeWriter();
      const taken = envelopes.map((frames) => {
        for (const { callId, kind, content } of frames) {
          writer.add(callId, kind, content);
        }
        return writer.take();
      });
      for (const [index, bytes] of taken.entries()) {
        assert.equal(bytes[0], 0);
        assert.equal(bytes.readUInt32BE(1), bytes.length - 5);
        const { frames } = fromBinary(LinkRequestSchema, bytes.subarray(5));
        assert.deepEqual(
          frames.map(({ callId, content }) => [callId, content.case, Buffer.from(content.value as Uint8Array)]),
          envelopes[index]?.map(({ callId, kind, content }) => [
            callId,
            kind === frameKind.message ? "message" : "part",
            Buffer.from(content),
          ]),
        );
      }
    }),
    { numRuns: 50 },
  );
});

test("reads what a general encoder writes, and passes over what it does not know", () => {
  const request = create(LinkRequestSchema, {
    frames: [
      { callId: 1, content: { case: "open", value: { procedure: "a.B/C", timeoutMs: 5 } } },
      { callId: 0, content: { case: "ping", value: {} } },
      { callId: 0xffff_ffff, content: { case: "message", value: new Uint8Array([1, 2]) } },
      { callId: 3, content: { case: undefined } },
    ],
  });
  const unknown = { no: 99, wireType: 2, data: new Uint8Array([2, 1, 1]) };
  const fixed = { no: 98, wireType: 1, data: new Uint8Array(8) };
  request.$unknown = [unknown, fixed, { no: 97, wireType: 5, data: new Uint8Array(4) }];
  for (const each of request.frames) {
    each.$unknown = [{ no: 96, wireType: 0, data: new Uint8Array([0x80, 1]) }];
  }
  assert.deepEqual(
    read(toBinary(LinkRequestSchema, request)).map(({ callId, kind }) => [callId, kind]),
    [
      [1, frameKind.open],
      [0, frameKind.ping],
      [0xffff_ffff, frameKind.message],
    ],
  );
});

test("refuses bytes that are no frames, whatever they are, and nothing else happens", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        read(bytes);
      } catch (error) {
        assert.ok(error instanceof LinkProtocolError);
      }
    }),
  );
  const good = toBinary(
    LinkRequestSchema,
    create(LinkRequestSchema, { frames: [{ callId: 7, content: { case: "message", value: new Uint8Array(20) } }] }),
  );
  for (let length = 1; length < good.length; length += 1) {
    assert.throws(() => read(good.subarray(0, length)), LinkProtocolError);
  }
});
