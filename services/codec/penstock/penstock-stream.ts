import { fromBinary } from "@bufbuild/protobuf";
import { sizeDelimitedEncode, sizeDelimitedPeek } from "@bufbuild/protobuf/wire";
import type { ChatEvent } from "#gen/penstock/chat/v1/chat_pb.ts";
import { StreamChatResponseSchema } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { CodecError, type StreamDecoder, type StreamEncoder } from "../codec.ts";

/** The most bytes that one message of a stream may have. */
const MAX_PENSTOCK_FRAME_BYTES = 16 * 1024 * 1024;

// The longest varint of a size below 2^35.
const MAX_SIZE_BYTES = 5;

/**
 * Creates an encoder that writes what one call got as one `penstock.gateway.v1.StreamChatResponse`, with its size in
 * front as a varint. No events make no message.
 */
export function createPenstockStreamEncoder(): StreamEncoder {
  return {
    encode(events) {
      if (events.length === 0) {
        return new Uint8Array(0);
      }
      return sizeDelimitedEncode(StreamChatResponseSchema, {
        $typeName: "penstock.gateway.v1.StreamChatResponse",
        events: [...events],
      });
    },
  };
}

/** A decoder of size-delimited messages, which also tells what it holds back. */
export interface PenstockStreamDecoder extends StreamDecoder {
  /** Bytes of a message that is not whole yet. A stream that ends with more than 0 was cut. */
  readonly pendingBytes: number;
}

/**
 * Creates a decoder for one stream of size-delimited `StreamChatResponse` messages, however the bytes are cut. `end`
 * never makes an end event: a stream without one was cut. Throws CodecError for bytes that are no such message.
 */
export function createPenstockStreamDecoder(maxFrameBytes: number = MAX_PENSTOCK_FRAME_BYTES): PenstockStreamDecoder {
  let pieces: Uint8Array[] = [];
  let pendingBytes = 0;
  // What the first message needs, once its size is known: until then joining the pieces would be in vain.
  let neededBytes = 0;

  function decodeWhole(bytes: Uint8Array, events: ChatEvent[]): Uint8Array {
    let rest = bytes;
    neededBytes = 0;
    while (rest.length > 0) {
      const peeked = peekSize(rest);
      if (peeked === undefined) {
        break;
      }
      if (peeked.size > maxFrameBytes) {
        throw new CodecError(`a message of the stream is larger than ${maxFrameBytes} bytes`, {
          code: "frame_too_large",
        });
      }
      const end = peeked.offset + peeked.size;
      if (rest.length < end) {
        neededBytes = end;
        break;
      }
      events.push(...decodeMessage(rest.subarray(peeked.offset, end)));
      rest = rest.subarray(end);
    }
    return rest;
  }

  return {
    push(bytes) {
      const events: ChatEvent[] = [];
      if (bytes.length === 0) {
        return events;
      }
      pieces.push(bytes);
      pendingBytes += bytes.length;
      if (pendingBytes < neededBytes) {
        return events;
      }
      const joined = pieces.length === 1 ? bytes : Buffer.concat(pieces, pendingBytes);
      const rest = decodeWhole(joined, events);
      pieces = rest.length === 0 ? [] : [rest];
      pendingBytes = rest.length;
      return events;
    },
    end: () => [],
    get pendingBytes() {
      return pendingBytes;
    },
  };
}

function peekSize(bytes: Uint8Array): { readonly size: number; readonly offset: number } | undefined {
  let peeked: ReturnType<typeof sizeDelimitedPeek>;
  try {
    peeked = sizeDelimitedPeek(bytes.subarray(0, MAX_SIZE_BYTES));
  } catch (cause) {
    throw new CodecError("the stream holds an invalid size", { code: "invalid_protobuf", cause });
  }
  if (peeked.size !== null) {
    return { size: peeked.size, offset: peeked.offset };
  }
  if (bytes.length >= MAX_SIZE_BYTES) {
    throw new CodecError("the stream holds an invalid size", { code: "invalid_protobuf" });
  }
  return undefined;
}

function decodeMessage(bytes: Uint8Array): readonly ChatEvent[] {
  try {
    return fromBinary(StreamChatResponseSchema, bytes).events;
  } catch (cause) {
    throw new CodecError("the stream holds a message that is not a StreamChatResponse", {
      code: "invalid_protobuf",
      cause,
    });
  }
}
