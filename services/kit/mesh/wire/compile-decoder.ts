import { create, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { AnyMessage } from "../message-of.ts";
import { wireTypeOfScalar } from "./is-compilable.ts";
import type { WireReader } from "./wire-reader.ts";

/** Reads a message that ends at `to`: into `earlier`, where a part of it came before. Throws for what is none. */
type Decoder = (reader: WireReader, to: number, earlier?: AnyMessage) => AnyMessage;

type Fields = Record<string, unknown>;
type ValueReader = (reader: WireReader, earlier?: unknown) => unknown;

interface FieldDecoder {
  readonly wireType: number;
  read(reader: WireReader, fields: Fields): void;
  /** How a list of numbers is read that came packed, or did not where that is usual. */
  readonly other?: { readonly wireType: number; read(reader: WireReader, fields: Fields): void };
}

const deepest = 100;
const decoders = new WeakMap<DescMessage, Decoder>();

/** The decoder of a type that isCompilable: it makes what protobuf-es makes. Bytes may be views of what is read. */
export function compileDecoder(schema: DescMessage): Decoder {
  const known = decoders.get(schema);
  if (known !== undefined) {
    return known;
  }
  const byNumber = new Map<number, FieldDecoder>();
  const decoder: Decoder = (reader, to, earlier) => {
    const message: AnyMessage = earlier ?? create(schema);
    reader.depth += 1;
    if (reader.depth > deepest) {
      throw new RangeError("messages lie too deep in one another");
    }
    // A message is an object of its fields, as its schema says.
    readFields(reader, to, message, message as unknown as Fields, byNumber);
    reader.depth -= 1;
    return message;
  };
  // Known before its fields are, since messages may hold messages of their own type.
  decoders.set(schema, decoder);
  for (const field of schema.fields) {
    byNumber.set(field.number, fieldDecoder(field));
  }
  return decoder;
}

function readFields(
  reader: WireReader,
  to: number,
  message: AnyMessage,
  fields: Fields,
  byNumber: ReadonlyMap<number, FieldDecoder>,
): void {
  while (reader.at < to) {
    const tag = reader.varint32();
    const wireType = tag & 7;
    const field = byNumber.get(tag >>> 3);
    if (field?.wireType === wireType) {
      field.read(reader, fields);
    } else if (field?.other?.wireType === wireType) {
      field.other.read(reader, fields);
    } else if (tag < 8) {
      throw new RangeError("no field has number 0");
    } else {
      message.$unknown ??= [];
      message.$unknown.push({ no: tag >>> 3, wireType, data: reader.skip(wireType) });
    }
  }
  if (reader.at !== to) {
    throw new RangeError("a field goes beyond its message");
  }
}

function fieldDecoder(field: DescField): FieldDecoder {
  switch (field.fieldKind) {
    case "list":
      return listDecoder(field);
    case "map":
      return mapDecoder(field);
    case "message":
      return singularDecoder(field, 2, messageReader(field.message));
    case "scalar":
      return singularDecoder(field, wireTypeOfScalar.get(field.scalar) ?? 0, scalarReader(field.scalar));
    case "enum":
      return singularDecoder(field, 0, scalarReader(ScalarType.INT32));
  }
}

function singularDecoder({ localName, oneof }: DescField, wireType: number, value: ValueReader): FieldDecoder {
  const group = oneof?.localName;
  return {
    wireType,
    read:
      group === undefined
        ? (reader, fields) => {
            fields[localName] = value(reader, fields[localName]);
          }
        : (reader, fields) => {
            // create() made a oneof of it.
            const earlier = fields[group] as { readonly case: string | undefined; readonly value?: unknown };
            fields[group] = {
              case: localName,
              value: value(reader, earlier.case === localName ? earlier.value : undefined),
            };
          },
  };
}

function messageReader(schema: DescMessage): ValueReader {
  const decode = compileDecoder(schema);
  return (reader, earlier) => {
    const end = reader.end();
    // A field of messages holds messages.
    return decode(reader, end, earlier as AnyMessage | undefined);
  };
}

function listDecoder(field: DescField & { fieldKind: "list" }): FieldDecoder {
  const { localName } = field;
  const one = (wireType: number, value: ValueReader): FieldDecoder => ({
    wireType,
    read(reader, fields) {
      // create() made an array of it.
      (fields[localName] as unknown[]).push(value(reader));
    },
  });
  if (field.listKind === "message") {
    return one(2, messageReader(field.message));
  }
  const scalar = field.listKind === "scalar" ? field.scalar : ScalarType.INT32;
  const wireType = wireTypeOfScalar.get(scalar) ?? 0;
  const value = scalarReader(scalar);
  if (wireType === 2) {
    return one(2, value);
  }
  return {
    wireType: 2,
    read(reader, fields) {
      // create() made an array of it.
      const list = fields[localName] as unknown[];
      const end = reader.end();
      while (reader.at < end) {
        list.push(value(reader));
      }
    },
    other: one(wireType, value),
  };
}

/** The keys of maps are text in the mesh's protos, and their values scalars. */
function mapDecoder(field: DescField & { fieldKind: "map" }): FieldDecoder {
  const { localName } = field;
  const scalar = field.scalar ?? ScalarType.STRING;
  const readValue = scalarReader(scalar);
  const valueTag = (2 << 3) | (wireTypeOfScalar.get(scalar) ?? 0);
  return {
    wireType: 2,
    read(reader, fields) {
      const end = reader.end();
      let key = "";
      let value = scalarZeroValue(scalar);
      while (reader.at < end) {
        const tag = reader.varint32();
        if (tag === keyTag) {
          key = reader.string();
        } else if (tag === valueTag) {
          value = readValue(reader);
        } else {
          reader.skip(tag & 7);
        }
      }
      // Not by assignment: a key may be "__proto__".
      Object.defineProperty(fields[localName], key, { value, enumerable: true, configurable: true, writable: true });
    },
  };
}

const keyTag = (1 << 3) | 2;

function scalarZeroValue(scalar: ScalarType): unknown {
  switch (scalar) {
    case ScalarType.STRING:
      return "";
    case ScalarType.BYTES:
      return new Uint8Array(0);
    case ScalarType.BOOL:
      return false;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return 0n;
    default:
      return 0;
  }
}

function scalarReader(scalar: ScalarType): ValueReader {
  switch (scalar) {
    case ScalarType.STRING:
      return (reader) => reader.string();
    case ScalarType.BYTES:
      return (reader) => reader.view();
    case ScalarType.BOOL:
      return (reader) => reader.bool();
    case ScalarType.INT64:
      return (reader) => reader.int64();
    case ScalarType.UINT64:
      return (reader) => reader.uint64();
    case ScalarType.UINT32:
      return (reader) => reader.varint32();
    case ScalarType.DOUBLE:
      return (reader) => reader.double();
    case ScalarType.FLOAT:
      return (reader) => reader.float();
    default:
      return (reader) => reader.varint32() | 0;
  }
}
