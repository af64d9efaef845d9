import { create, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import type { AnyMessage } from "../message-of.ts";

const deepest = 4;

/** Any message of a type, for tests of codecs. */
export function arbitraryMessage(schema: DescMessage, depth = 0): fc.Arbitrary<AnyMessage> {
  const members = schema.members.map((member): [string, fc.Arbitrary<unknown>] => [
    member.localName,
    member.kind === "oneof" ? arbitraryOneof(member.fields, depth) : arbitraryField(member, depth),
  ]);
  return fc
    .record(Object.fromEntries(members))
    .map((fields) =>
      create(schema, Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never),
    );
}

function arbitraryOneof(fields: readonly DescField[], depth: number): fc.Arbitrary<unknown> {
  const none = fc.constant({ case: undefined });
  const options = fields
    .filter((field) => field.fieldKind !== "message" || depth < deepest)
    .map((field) => arbitrarySingular(field, depth).map((value) => ({ case: field.localName, value })));
  return fc.oneof(none, ...options);
}

function arbitraryField(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "list":
      if (field.listKind === "message") {
        return depth < deepest
          ? fc.array(arbitraryMessage(field.message, depth + 1), { maxLength: 3 })
          : fc.constant([]);
      }
      return fc.array(field.listKind === "enum" ? arbitraryEnum : arbitraryScalar(field.scalar), { maxLength: 5 });
    case "map":
      return fc.dictionary(
        fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("__proto__")),
        arbitraryScalar(field.scalar ?? ScalarType.STRING),
        {
          maxKeys: 3,
        },
      );
    case "message":
      return depth < deepest ? fc.option(arbitrarySingular(field, depth), { nil: undefined }) : fc.constant(undefined);
    case "scalar":
    case "enum":
      return field.presence === FeatureSet_FieldPresence.EXPLICIT
        ? fc.option(arbitrarySingular(field, depth), { nil: undefined })
        : arbitrarySingular(field, depth);
  }
}

function arbitrarySingular(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "message":
      return arbitraryMessage(field.message, depth + 1);
    case "scalar":
      return arbitraryScalar(field.scalar);
    default:
      return arbitraryEnum;
  }
}

const arbitraryEnum = fc.integer({ min: -2, max: 300 });

function arbitraryScalar(scalar: ScalarType): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.STRING:
      return fc.oneof(fc.string({ maxLength: 80 }), fc.string({ unit: "grapheme", maxLength: 80 }));
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 200 });
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT64:
      return fc.oneof(
        fc.bigInt({ min: -300n, max: 1n << 35n }),
        fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
      );
    case ScalarType.UINT64:
      return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    case ScalarType.UINT32:
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case ScalarType.DOUBLE:
      return fc.double({ noNaN: true });
    case ScalarType.FLOAT:
      return fc.float({ noNaN: true });
    default:
      return fc.integer();
  }
}
