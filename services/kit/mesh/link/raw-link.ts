import { Buffer } from "node:buffer";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type FrameSchema,
  LinkRequestSchema,
  type LinkResponse,
  LinkResponseSchema,
} from "#gen/penstock/mesh/v1/link_service_pb.ts";

/** Frames by hand over HTTP/2, to say what no client of the mesh says. For tests. */
export interface RawLink {
  readonly stream: ClientHttp2Stream;
  send(...frames: MessageInitShape<typeof FrameSchema>[]): void;
  /** Every frame that came. */
  readonly received: LinkResponse["frames"];
  /** Resolves when the stream is gone, with its HTTP/2 code. */
  readonly closed: Promise<number>;
  close(): void;
}

/** Opens a link by hand. */
export function openRawLink(baseUrl: string): RawLink {
  const session: ClientHttp2Session = connect(baseUrl);
  const stream = session.request({
    ":method": "POST",
    ":path": "/penstock.mesh.v1.LinkService/Link",
    "content-type": "application/connect+proto",
  });
  const received: LinkResponse["frames"] = [];
  let held: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
      const end = 5 + held.readUInt32BE(1);
      if (held[0] === 0) {
        received.push(...fromBinary(LinkResponseSchema, held.subarray(5, end)).frames);
      }
      held = held.subarray(end);
    }
  });
  const closed = new Promise<number>((resolve) => {
    stream.on("close", () => resolve(stream.rstCode));
  });
  for (const emitter of [session, stream]) {
    // The code says it, too.
    emitter.on("error", () => undefined);
  }
  return {
    stream,
    send: (...frames) =>
      void stream.write(rawEnvelope(toBinary(LinkRequestSchema, create(LinkRequestSchema, { frames })))),
    received,
    closed,
    close: () => session.destroy(),
  };
}

/** One envelope of Connect's streaming format. */
export function rawEnvelope(message: Uint8Array, flags = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
