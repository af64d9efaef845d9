import { Buffer } from "node:buffer";
import { type DescMessage, type DescMethod, fromBinary, ScalarType, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type AnyMessage, messageOf } from "../message-of.ts";
import type { BackwardWriter } from "../wire/backward-writer.ts";
import { compileDecoder } from "../wire/compile-decoder.ts";
import { compileEncoder } from "../wire/compile-encoder.ts";
import { isCompilable } from "../wire/is-compilable.ts";
import { WireReader } from "../wire/wire-reader.ts";

/** How messages of one type cross a link. */
export interface MessageCodec {
  /**
   * Serializes a message. Up to `lentBytes` the bytes are lent, good until the next call with the same writer. Throws a
   * ConnectError for a message that is too large.
   */
  encode(value: unknown): Uint8Array;
  /** Throws a ConnectError for what is no such message. */
  decode(content: Buffer): AnyMessage;
}

/** What all codecs of one side have in common. */
export interface MessageCodecOptions {
  /** The largest message, in bytes. */
  readonly maxBytes: number;
  readonly writer: BackwardWriter;
}

/**
 * Makes the codecs of a method's messages. Those of unary calls may be kept by whoever gets them; those of streams pass
 * through, so that bytes in them are views of what was read from the socket.
 */
export function createMethodCodecs(
  method: DescMethod,
  options: MessageCodecOptions,
): { readonly input: MessageCodec; readonly output: MessageCodec } {
  const isKept = method.methodKind === "unary";
  return {
    input: createMessageCodec(method.input, isKept, options),
    output: createMessageCodec(method.output, isKept, options),
  };
}

function createMessageCodec(
  schema: DescMessage,
  isKept: boolean,
  { maxBytes, writer }: MessageCodecOptions,
): MessageCodec {
  const keepsBytes = isKept && hasBytes(schema, new Set());
  const { write, read } = isCompilable(schema) ? compiled(schema, writer) : general(schema);
  return {
    encode(value) {
      const bytes = write(messageOf(schema, value));
      if (bytes.length > maxBytes) {
        throw new ConnectError(`message size ${bytes.length} is larger than ${maxBytes} bytes`, Code.ResourceExhausted);
      }
      return bytes;
    },
    decode(content) {
      try {
        return read(keepsBytes ? detached(content) : content);
      } catch (error) {
        throw new ConnectError(`${schema.typeName} could not be read`, Code.Internal, undefined, undefined, error);
      }
    },
  };
}

interface Wire {
  write(message: AnyMessage): Uint8Array;
  read(content: Buffer): AnyMessage;
}

function compiled(schema: DescMessage, writer: BackwardWriter): Wire {
  const encode = compileEncoder(schema);
  const decode = compileDecoder(schema);
  return {
    write(message) {
      writer.begin();
      encode(writer, message);
      return writer.finish();
    },
    read: (content) => decode(new WireReader(content), content.length),
  };
}

/** For types with what the compiled codec does not do; those of the mesh have nothing of it. */
function general(schema: DescMessage): Wire {
  return { write: (message) => toBinary(schema, message), read: (content) => fromBinary(schema, content) };
}

/**
 * The content itself, or a copy where it is a small part of what was read from the socket: whoever keeps a message must
 * not keep all that arrived with it.
 */
export function detached(content: Buffer): Buffer {
  if (content.length * 4 >= content.buffer.byteLength) {
    return content;
  }
  const copy = Buffer.allocUnsafeSlow(content.length);
  copy.set(content);
  return copy;
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
