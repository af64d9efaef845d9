import type { Buffer } from "node:buffer";
import { fromBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { CreditSchema, HeadSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { asConnectError } from "../as-connect-error.ts";
import { readEnd } from "./call-end.ts";
import type { FrameStream } from "./frame-stream.ts";
import { headersOf } from "./header-fields.ts";
import { frameKind, LinkProtocolError, partBytes } from "./link-protocol.ts";
import { MessageReceiver } from "./message-receiver.ts";
import { MessageSender } from "./message-sender.ts";

/** Takes what comes of a call. After `onEnd` or `onLost` nothing comes any more. */
export interface CallSink {
  onHead(header: Headers): void;
  /** A message, for which `taken` of the call is called with `frameBytes` once it was taken. */
  onMessage(content: Buffer, frameBytes: number): void;
  /** The server has ended the call. */
  onEnd(error: ConnectError | undefined, trailer: Headers | undefined): void;
  /** The link broke; whether the call had an effect is not known. */
  onLost(cause: Error | undefined): void;
}

/** One call to another process, as its link sees it. */
export class ClientCall {
  readonly #frames: FrameStream;
  readonly #callId: number;
  readonly #sink: CallSink;
  readonly #onOver: (callId: number) => void;
  readonly #receiver: MessageReceiver;
  #sender: MessageSender | undefined;

  /** `onOver` is told once when the call needs nothing more of the link. */
  constructor(
    frames: FrameStream,
    callId: number,
    sink: CallSink,
    maxMessageBytes: number,
    onOver: (callId: number) => void,
  ) {
    this.#frames = frames;
    this.#callId = callId;
    this.#sink = sink;
    this.#onOver = onOver;
    this.#receiver = new MessageReceiver(frames, callId, maxMessageBytes);
  }

  /** Sends the call: a serialized Open, and the request. */
  start(open: Uint8Array, request: Uint8Array): void {
    this.#frames.send(this.#callId, frameKind.open, open);
    if (request.length <= partBytes && !this.#frames.congested) {
      this.#frames.send(this.#callId, frameKind.message, request);
      return;
    }
    this.#sender = new MessageSender(this.#frames, this.#callId, nothing);
    this.#sender.send(request);
  }

  /** The caller has taken a message. */
  taken(frameBytes: number): void {
    this.#receiver.release(frameBytes);
  }

  /** The caller wants nothing more. */
  cancel(): void {
    this.#sender?.stop();
    this.#frames.send(this.#callId, frameKind.cancel, empty);
    this.#onOver(this.#callId);
  }

  /** Takes a frame of the server. */
  onFrame(kind: number, content: Buffer): void {
    switch (kind) {
      case frameKind.message:
      case frameKind.part:
        this.#onContent(kind, content);
        return;
      case frameKind.end: {
        const { error, trailer } = readEnd(content);
        this.#sender?.stop();
        this.#onOver(this.#callId);
        this.#sink.onEnd(error, trailer);
        return;
      }
      case frameKind.head:
        this.#sink.onHead(headersOf(fromBinary(HeadSchema, content).header));
        return;
      case frameKind.credit:
        this.#sender?.add(fromBinary(CreditSchema, content).bytes);
        return;
      case frameKind.open:
      case frameKind.cancel:
        throw new LinkProtocolError("a server sent what only callers send");
      default:
        // Kinds are added over time.
        return;
    }
  }

  /** The link is gone. */
  onLost(cause: Error | undefined): void {
    this.#sender?.stop();
    this.#sink.onLost(cause);
  }

  #onContent(kind: number, content: Buffer): void {
    let message: Buffer;
    try {
      if (kind === frameKind.part) {
        this.#receiver.part(content);
        return;
      }
      message = this.#receiver.message(content);
    } catch (error) {
      if (error instanceof LinkProtocolError) {
        throw error;
      }
      this.cancel();
      this.#sink.onEnd(asConnectError(error), undefined);
      return;
    }
    this.#sink.onMessage(message, content.length);
  }
}

const empty = new Uint8Array(0);

function nothing(): void {
  // There is one request only: nothing waits for its end.
}
