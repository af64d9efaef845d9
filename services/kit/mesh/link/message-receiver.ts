import { Buffer } from "node:buffer";
import { Code, ConnectError } from "@connectrpc/connect";
import { CreditSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { toBinary } from "@bufbuild/protobuf";
import type { FrameStream } from "./frame-stream.ts";
import { frameCost, frameKind, initialCredit, LinkProtocolError } from "./link-protocol.ts";

/** Credit is given in pieces of this, so that short calls give none. */
const creditStep = initialCredit / 2;

/** Puts the messages of one call in one direction together, and gives credit for what was taken. */
export class MessageReceiver {
  readonly #frames: FrameStream;
  readonly #callId: number;
  readonly #maxBytes: number;
  #parts: Uint8Array[] | undefined;
  #partBytes = 0;
  /** What the other side has sent and got no credit for. */
  #used = 0;
  /** What was taken and no credit was given for. */
  #owed = 0;

  /** Messages above `maxBytes` are refused. */
  constructor(frames: FrameStream, callId: number, maxBytes: number) {
    this.#frames = frames;
    this.#callId = callId;
    this.#maxBytes = maxBytes;
  }

  /** Takes a part. Throws a ConnectError for a message that is too large. */
  part(content: Buffer): void {
    this.#count(content.length);
    this.#parts ??= [];
    this.#parts.push(content);
    this.#partBytes += content.length;
    if (this.#partBytes > this.#maxBytes) {
      this.#parts = [];
      throw tooLarge(this.#maxBytes);
    }
    // A message is put together whatever its size; the bound is on messages that nobody takes.
    this.release(content.length);
  }

  /** Takes the end of a message and gives the whole. Whoever takes it calls `release` with the length of `content`. */
  message(content: Buffer): Buffer {
    this.#count(content.length);
    if (this.#parts === undefined) {
      return content;
    }
    const parts = this.#parts;
    const bytes = this.#partBytes + content.length;
    this.#parts = undefined;
    this.#partBytes = 0;
    parts.push(content);
    if (bytes > this.#maxBytes) {
      throw tooLarge(this.#maxBytes);
    }
    return Buffer.concat(parts, bytes);
  }

  /** Somebody has taken a frame's content of this length. */
  release(contentBytes: number): void {
    this.#owed += contentBytes + frameCost;
    if (this.#owed >= creditStep) {
      this.#used -= this.#owed;
      const bytes = this.#owed;
      this.#owed = 0;
      this.#frames.send(
        this.#callId,
        frameKind.credit,
        toBinary(CreditSchema, { $typeName: "penstock.mesh.v1.Credit", bytes }),
      );
    }
  }

  #count(contentBytes: number): void {
    this.#used += contentBytes + frameCost;
    if (this.#used > initialCredit) {
      throw new LinkProtocolError("a call was sent more than there was credit for");
    }
  }
}

function tooLarge(maxBytes: number): ConnectError {
  return new ConnectError(`message is larger than ${maxBytes} bytes`, Code.ResourceExhausted);
}
