import { type DescMessage, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type AnyMessage, messageOf } from "../message-of.ts";

/** How messages of one type cross a link. */
export interface MessageCodec {
  /** Throws a ConnectError for a message that is too large. */
  encode(value: unknown): Uint8Array;
  /** Throws a ConnectError for what is no such message. */
  decode(content: Uint8Array): AnyMessage;
}

/** Makes the codec of a type whose messages have at most `maxBytes`. */
export function createMessageCodec(schema: DescMessage, maxBytes: number): MessageCodec {
  const keepsBytes = hasBytes(schema, new Set());
  return {
    encode(value) {
      const bytes = toBinary(schema, messageOf(schema, value));
      if (bytes.length > maxBytes) {
        throw new ConnectError(`message size ${bytes.length} is larger than ${maxBytes} bytes`, Code.ResourceExhausted);
      }
      return bytes;
    },
    decode(content) {
      try {
        return fromBinary(schema, keepsBytes ? detached(content) : content);
      } catch (error) {
        throw new ConnectError(`${schema.typeName} could not be read`, Code.Internal, undefined, undefined, error);
      }
    },
  };
}

/**
 * The content itself, or a copy where it is a small part of what was read from the socket: whoever keeps a message must
 * not keep all that arrived with it.
 */
export function detached(content: Uint8Array): Uint8Array {
  return content.length * 4 >= content.buffer.byteLength ? content : new Uint8Array(content);
}

/** Whether messages of a type can have bytes in them, which are views of what they were read from. */
function hasBytes(schema: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(schema)) {
    return false;
  }
  seen.add(schema);
  return schema.fields.some((field) => {
    switch (field.fieldKind) {
      case "scalar":
        return field.scalar === ScalarType.BYTES;
      case "enum":
        return false;
      case "message":
        return hasBytes(field.message, seen);
      case "list":
        return field.listKind === "message"
          ? hasBytes(field.message, seen)
          : field.listKind === "scalar" && field.scalar === ScalarType.BYTES;
      case "map":
        return field.mapKind === "message"
          ? hasBytes(field.message, seen)
          : field.mapKind === "scalar" && field.scalar === ScalarType.BYTES;
    }
  });
}
