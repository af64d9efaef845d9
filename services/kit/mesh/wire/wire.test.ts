import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { create, type DescMessage, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, StructSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { GatewayService } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { EndSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { GetModelResponseSchema, ModelEntrySchema, RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorDetailSchema } from "#gen/penstock/type/v1/error_pb.ts";
import type { AnyMessage } from "../message-of.ts";
import { arbitraryMessage } from "./arbitrary-message.ts";
import { BackwardWriter } from "./backward-writer.ts";
import { compileDecoder } from "./compile-decoder.ts";
import { compileEncoder } from "./compile-encoder.ts";
import { isCompilable } from "./is-compilable.ts";
import { WireReader } from "./wire-reader.ts";

const services: readonly DescService[] = [
  AccountingService,
  CacheService,
  ConnectorService,
  GatewayService,
  KeyService,
  QuotaService,
  RouterService,
];
const schemas: readonly DescMessage[] = [
  ...new Set([
    ...services.flatMap((service) => service.methods.flatMap(({ input, output }): DescMessage[] => [input, output])),
    EndSchema,
    ErrorDetailSchema,
    AnySchema,
    TimestampSchema,
  ]),
];

const writer = new BackwardWriter();

function encode(schema: DescMessage, message: AnyMessage): Buffer {
  writer.begin();
  compileEncoder(schema)(writer, message);
  return writer.finish();
}

function decode(schema: DescMessage, bytes: Uint8Array): AnyMessage {
  const buffer = Buffer.from(bytes);
  return compileDecoder(schema)(new WireReader(buffer), buffer.length);
}

test("every type that crosses the mesh is compiled", () => {
  assert.deepEqual(
    schemas.filter((schema) => !isCompilable(schema)).map((schema) => schema.typeName),
    [],
  );
  assert.equal(isCompilable(StructSchema), false);
});

test("writes what protobuf-es reads, and reads what it writes, for every type", () => {
  for (const schema of schemas) {
    fc.assert(
      fc.property(arbitraryMessage(schema), (message) => {
        const general = toBinary(schema, message);
        const expected = plain(fromBinary(schema, general));
        assert.deepEqual(plain(fromBinary(schema, encode(schema, message))), expected);
        assert.deepEqual(plain(decode(schema, general)), expected);
      }),
      { numRuns: 15 },
    );
  }
});

test("keeps the fields that it does not know, of every wire type", () => {
  const message = create(ModelEntrySchema, { name: "m" });
  message.$unknown = [
    { no: 500, wireType: 0, data: new Uint8Array([0x80, 1]) },
    { no: 501, wireType: 1, data: new Uint8Array(8) },
    { no: 536_870_911, wireType: 2, data: new Uint8Array([2, 5, 6]) },
    { no: 500, wireType: 5, data: new Uint8Array([1, 2, 3, 4]) },
  ];
  const bytes = encode(ModelEntrySchema, message);
  assert.deepEqual(bytes, Buffer.from(toBinary(ModelEntrySchema, message)));
  assert.deepEqual(plain(decode(ModelEntrySchema, bytes)), plain(fromBinary(ModelEntrySchema, bytes)));
});

test("puts a message together whose parts come apart, and takes the last of a value that comes twice", () => {
  const half = (name: string, anyPriced: boolean): Uint8Array =>
    toBinary(GetModelResponseSchema, create(GetModelResponseSchema, { model: { name, anyPriced } }));
  const bytes = Buffer.concat([half("a", true), half("b", false)]);
  assert.deepEqual(plain(decode(GetModelResponseSchema, bytes)), plain(fromBinary(GetModelResponseSchema, bytes)));
});

test("throws for what is no message, and never reads beyond it", () => {
  for (const schema of schemas.slice(0, 12)) {
    fc.assert(
      fc.property(arbitraryMessage(schema), fc.nat(), fc.nat({ max: 255 }), (message, place, value) => {
        const bytes = Buffer.from(toBinary(schema, message));
        if (bytes.length > 0) {
          bytes[place % bytes.length] = value;
        }
        for (const each of [bytes, bytes.subarray(0, place % (bytes.length + 1))]) {
          try {
            decode(schema, each);
          } catch (error) {
            assert.ok(error instanceof RangeError, String(error));
          }
        }
      }),
      { numRuns: 20 },
    );
  }
});

test("messages that lie too deep in one another are refused", () => {
  const nested = (depth: number): Buffer => {
    // ModelEntry.price_ceiling, and in it TokenPrices.long_context again and again.
    let bytes = Buffer.alloc(0);
    for (let level = 0; level < depth; level += 1) {
      const inner = bytes;
      const length = Buffer.alloc(5);
      length.writeUInt32LE(0x8080_8080 >>> 0);
      for (let index = 0; index < 4; index += 1) {
        length[index] = ((inner.length >>> (7 * index)) & 0x7f) | 0x80;
      }
      bytes = Buffer.concat([Buffer.from([level === depth - 1 ? 0x1a : 0x5a]), length, inner]);
    }
    return bytes;
  };
  decode(ModelEntrySchema, nested(50));
  assert.throws(() => decode(ModelEntrySchema, nested(150)), RangeError);
});

test("what is lent is used again, and what is larger is not", () => {
  const small = encode(ModelEntrySchema, create(ModelEntrySchema, { name: "a" }));
  const large = encode(ModelEntrySchema, create(ModelEntrySchema, { name: "b".repeat(100_000) }));
  const copy = Buffer.from(large);
  const next = encode(ModelEntrySchema, create(ModelEntrySchema, { name: "c" }));
  assert.deepEqual(large, copy);
  assert.notEqual(next.buffer, large.buffer);
  assert.equal(small.length, next.length);
});

/** Buffers and arrays of bytes are the same to a reader of messages. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return `bytes ${Buffer.from(value).toString("hex")}`;
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
  }
  return value;
}
