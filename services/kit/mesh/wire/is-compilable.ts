import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";

/** The scalars that the mesh's own protos use, and their wire types. */
export const wireTypeOfScalar: ReadonlyMap<ScalarType, number> = new Map([
  [ScalarType.INT32, 0],
  [ScalarType.UINT32, 0],
  [ScalarType.INT64, 0],
  [ScalarType.UINT64, 0],
  [ScalarType.BOOL, 0],
  [ScalarType.DOUBLE, 1],
  [ScalarType.FLOAT, 5],
  [ScalarType.STRING, 2],
  [ScalarType.BYTES, 2],
]);

/** Types that protobuf-es shows to programs as something else than their message. */
const mapped: ReadonlySet<string> = new Set([
  "google.protobuf.Struct",
  "google.protobuf.DoubleValue",
  "google.protobuf.FloatValue",
  "google.protobuf.Int64Value",
  "google.protobuf.UInt64Value",
  "google.protobuf.Int32Value",
  "google.protobuf.UInt32Value",
  "google.protobuf.BoolValue",
  "google.protobuf.StringValue",
  "google.protobuf.BytesValue",
]);

/** Whether the compiled codec does all that messages of a type can hold; it does what the mesh's own protos use. */
export function isCompilable(schema: DescMessage, seen: Set<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) {
    return true;
  }
  seen.add(schema);
  return !mapped.has(schema.typeName) && schema.fields.every((field) => isCompilableField(field, seen));
}

function isCompilableField(field: DescField, seen: Set<DescMessage>): boolean {
  if (field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED) {
    return false;
  }
  switch (field.fieldKind) {
    case "scalar":
      return wireTypeOfScalar.has(field.scalar) && !field.longAsString;
    case "enum":
      return field.enum.open;
    case "message":
      return !field.delimitedEncoding && isCompilable(field.message, seen);
    case "list":
      switch (field.listKind) {
        case "scalar":
          return wireTypeOfScalar.has(field.scalar) && !field.longAsString;
        case "enum":
          return field.enum.open;
        case "message":
          return !field.delimitedEncoding && isCompilable(field.message, seen);
      }
    // Every kind of list has returned above.
    case "map":
      return field.mapKind === "scalar" && field.mapKey === ScalarType.STRING && wireTypeOfScalar.has(field.scalar);
  }
}
