import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import type { AnyMessage } from "../message-of.ts";
import type { BackwardWriter } from "./backward-writer.ts";
import { wireTypeOfScalar } from "./is-compilable.ts";

/** Writes a message, without its length. */
export type Encoder = (writer: BackwardWriter, message: AnyMessage) => void;

type Fields = Readonly<Record<string, unknown>>;
type FieldEncoder = (writer: BackwardWriter, fields: Fields) => void;
type ValueEncoder = (writer: BackwardWriter, value: unknown) => void;

interface Oneof {
  readonly case: string | undefined;
  readonly value?: unknown;
}

const encoders = new WeakMap<DescMessage, Encoder>();

/** The encoder of a type that isCompilable; its messages are as protobuf-es has them. */
export function compileEncoder(schema: DescMessage): Encoder {
  const known = encoders.get(schema);
  if (known !== undefined) {
    return known;
  }
  const members: FieldEncoder[] = [];
  const encoder: Encoder = (writer, message) => {
    const unknown = message.$unknown;
    if (unknown !== undefined) {
      for (const { no, wireType, data } of unknown.toReversed()) {
        writer.raw(data);
        writer.varint32(((no << 3) | wireType) >>> 0);
      }
    }
    // A message is an object of its fields, as its schema says.
    const fields = message as unknown as Fields;
    for (let index = members.length - 1; index >= 0; index -= 1) {
      members[index]?.(writer, fields);
    }
  };
  // Known before its fields are, since messages may hold messages of their own type.
  encoders.set(schema, encoder);
  for (const member of schema.members) {
    if (member.kind === "oneof") {
      members.push(oneofEncoder(member.localName, member.fields));
    } else {
      members.push(fieldEncoder(member));
    }
  }
  return encoder;
}

function oneofEncoder(localName: string, options: readonly DescField[]): FieldEncoder {
  const values = new Map(options.map((field) => [field.localName, singularEncoder(field)]));
  return (writer, fields) => {
    // A oneof is an object with these properties, as its schema says.
    const oneof = fields[localName] as Oneof;
    if (oneof.case !== undefined) {
      values.get(oneof.case)?.(writer, oneof.value);
    }
  };
}

function fieldEncoder(field: DescField): FieldEncoder {
  const { localName } = field;
  switch (field.fieldKind) {
    case "list":
      return listEncoder(field);
    case "map":
      return mapEncoder(field);
    case "message":
    case "scalar":
    case "enum": {
      const write = singularEncoder(field);
      const isUnset = zeroCheck(field);
      return (writer, fields) => {
        const value = fields[localName];
        if (value !== undefined && !isUnset(value)) {
          write(writer, value);
        }
      };
    }
  }
}

/** Which values of a field are not written: the zero value, where the field does not tell it from none. */
function zeroCheck(field: DescField): (value: unknown) => boolean {
  if (field.presence !== FeatureSet_FieldPresence.IMPLICIT) {
    return never;
  }
  if (field.fieldKind !== "scalar") {
    return isZero;
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      return isEmpty;
    case ScalarType.BYTES:
      return hasNoBytes;
    case ScalarType.BOOL:
      return isFalse;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return isZeroBigInt;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return isPositiveZero;
    default:
      return isZero;
  }
}

const never = (): boolean => false;
const isZero = (value: unknown): boolean => value === 0;
const isZeroBigInt = (value: unknown): boolean => value === 0n;
const isPositiveZero = (value: unknown): boolean => Object.is(value, 0);
const isEmpty = (value: unknown): boolean => value === "";
const isFalse = (value: unknown): boolean => value === false;
// A field of bytes holds a Uint8Array.
const hasNoBytes = (value: unknown): boolean => (value as Uint8Array).length === 0;

/** Writes a value with its tag, whatever it is. */
function singularEncoder(field: DescField): ValueEncoder {
  if (field.fieldKind === "message") {
    return messageEncoder(field.message, field.number);
  }
  const scalar = field.fieldKind === "scalar" ? field.scalar : ScalarType.INT32;
  const tag = (field.number << 3) | (wireTypeOfScalar.get(scalar) ?? 0);
  const write = scalarEncoder(scalar);
  return (writer, value) => {
    write(writer, value);
    writer.varint32(tag);
  };
}

function messageEncoder(schema: DescMessage, number: number): ValueEncoder {
  const encode = compileEncoder(schema);
  const tag = (number << 3) | 2;
  return (writer, value) => {
    const after = writer.length;
    // A field of messages holds messages.
    encode(writer, value as AnyMessage);
    writer.varint32(writer.length - after);
    writer.varint32(tag);
  };
}

function listEncoder(field: DescField & { fieldKind: "list" }): FieldEncoder {
  const { localName } = field;
  if (field.listKind === "message") {
    const write = messageEncoder(field.message, field.number);
    return (writer, fields) => forEachBackward(writer, fields[localName], write);
  }
  const scalar = field.listKind === "scalar" ? field.scalar : ScalarType.INT32;
  const write = scalarEncoder(scalar);
  const isPacked = field.packed;
  const tag = (field.number << 3) | (isPacked ? 2 : (wireTypeOfScalar.get(scalar) ?? 0));
  if (!isPacked) {
    return (writer, fields) =>
      forEachBackward(writer, fields[localName], (each, value) => {
        write(each, value);
        each.varint32(tag);
      });
  }
  return (writer, fields) => {
    const after = writer.length;
    forEachBackward(writer, fields[localName], write);
    if (writer.length > after) {
      writer.varint32(writer.length - after);
      writer.varint32(tag);
    }
  };
}

function forEachBackward(writer: BackwardWriter, list: unknown, write: ValueEncoder): void {
  // A repeated field holds an array.
  const values = list as readonly unknown[];
  for (let index = values.length - 1; index >= 0; index -= 1) {
    write(writer, values[index]);
  }
}

/** The keys of maps are text in the mesh's protos, and their values scalars. */
function mapEncoder(field: DescField & { fieldKind: "map" }): FieldEncoder {
  const { localName } = field;
  const scalar = field.scalar ?? ScalarType.STRING;
  const write = scalarEncoder(scalar);
  const valueTag = (2 << 3) | (wireTypeOfScalar.get(scalar) ?? 0);
  const tag = (field.number << 3) | 2;
  return (writer, fields) => {
    // A map is an object.
    const entries = fields[localName] as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(entries)) {
      const after = writer.length;
      write(writer, entries[key]);
      writer.varint32(valueTag);
      writer.string(key);
      writer.varint32(keyTag);
      writer.varint32(writer.length - after);
      writer.varint32(tag);
    }
  };
}

const keyTag = (1 << 3) | 2;

/** Each value is of its field's type: that is what the types of messages say. */
function scalarEncoder(scalar: ScalarType): ValueEncoder {
  switch (scalar) {
    case ScalarType.STRING:
      return (writer, value) => writer.string(value as string);
    case ScalarType.BYTES:
      return (writer, value) => writer.bytes(value as Uint8Array);
    case ScalarType.BOOL:
      return (writer, value) => writer.bool(value as boolean);
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return (writer, value) => writer.varint64(value as bigint);
    case ScalarType.UINT32:
      return (writer, value) => writer.varint32(value as number);
    case ScalarType.DOUBLE:
      return (writer, value) => writer.double(value as number);
    case ScalarType.FLOAT:
      return (writer, value) => writer.float(value as number);
    default:
      return (writer, value) => writer.int32(value as number);
  }
}
