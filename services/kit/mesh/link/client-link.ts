import type { Buffer } from "node:buffer";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { type CallSink, ClientCall } from "./client-call.ts";
import { FrameStream } from "./frame-stream.ts";
import {
  frameKind,
  linkContentType,
  linkPath,
  LinkProtocolError,
  maxCallsOfLink,
  streamWindowBytes,
} from "./link-protocol.ts";

/** What a link is made with. */
export interface ClientLinkOptions {
  readonly baseUrl: string;
  /** The largest message of a call, in bytes. */
  readonly maxMessageBytes: number;
  /** See FrameStream. */
  readonly heartbeatMs?: number | undefined;
  /** Told once when the link is gone. */
  readonly onClose: (link: ClientLink) => void;
}

/** One link to another process. It connects at once; calls made meanwhile wait for it. */
export class ClientLink {
  readonly #options: ClientLinkOptions;
  readonly #session: ClientHttp2Session;
  readonly #frames: FrameStream;
  readonly #calls = new Map<number, ClientCall>();
  #lastCallId = 0;
  #usable = true;

  constructor(options: ClientLinkOptions) {
    this.#options = options;
    const url = new URL(options.baseUrl);
    const session = connect(url.origin, { settings: { enablePush: false, initialWindowSize: streamWindowBytes } });
    this.#session = session;
    const stream = session.request(
      {
        ":method": "POST",
        ":path": url.pathname.replace(/\/$/, "") + linkPath,
        "content-type": linkContentType,
        "connect-protocol-version": "1",
      },
      { endStream: false },
    );
    this.#frames = new FrameStream(stream, {
      onFrame: (callId, kind, content) => this.#onFrame(callId, kind, content),
      onPeerEnd: () => this.#retire(true),
      onClose: (error) => this.#onClose(error),
      cut: (error) => session.destroy(error instanceof LinkProtocolError ? undefined : error, constants.NGHTTP2_CANCEL),
      ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    });
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200) {
        this.#frames.destroy(new Error(`a link was answered with status ${headers[":status"] ?? "unknown"}`));
      }
    });
    session.on("connect", () => session.setLocalWindowSize(streamWindowBytes));
    session.on("goaway", () => this.#retire(false));
    // Whatever ends the session ends its only stream, which is told why.
    session.on("error", (error) => this.#frames.destroy(error));
    // A link without calls does not keep the process alive.
    session.unref();
  }

  /** Whether calls can be opened: not when it broke, or the server asked to go elsewhere. */
  get usable(): boolean {
    return this.#usable;
  }

  /** Makes a call of a serialized Open and request. Throws when too many run. Only on a usable link. */
  open(open: Uint8Array, request: Uint8Array, sink: CallSink): ClientCall {
    if (this.#calls.size >= maxCallsOfLink) {
      throw new ConnectError("too many calls run on one link", Code.ResourceExhausted);
    }
    if (this.#calls.size === 0) {
      this.#session.ref();
    }
    this.#lastCallId += 1;
    const call = new ClientCall(this.#frames, this.#lastCallId, sink, this.#options.maxMessageBytes, this.#onOver);
    this.#calls.set(this.#lastCallId, call);
    call.start(open, request);
    if (this.#lastCallId === largestCallId) {
      this.#retire(false);
    }
    return call;
  }

  /** Cuts the link; calls that run have failed. */
  close(): void {
    this.#usable = false;
    this.#frames.destroy(new Error("the link was closed"));
  }

  #onFrame(callId: number, kind: number, content: Buffer): void {
    if (callId === 0) {
      if (kind === frameKind.drain) {
        this.#retire(false);
      }
      return;
    }
    if (callId > this.#lastCallId) {
      throw new LinkProtocolError("a frame is of a call that was not opened");
    }
    // Frames of calls that were cancelled crossed that on the way.
    this.#calls.get(callId)?.onFrame(kind, content);
  }

  readonly #onOver = (callId: number): void => {
    this.#calls.delete(callId);
    if (this.#calls.size === 0) {
      this.#session.unref();
      this.#endIfRetired();
    }
  };

  /** Opens no further calls; when the server has ended, those that run have failed. */
  #retire(serverEnded: boolean): void {
    this.#usable = false;
    if (serverEnded) {
      this.#frames.end();
    } else {
      this.#endIfRetired();
    }
  }

  #endIfRetired(): void {
    if (!this.#usable && this.#calls.size === 0) {
      this.#frames.end();
    }
  }

  #onClose(error: Error | undefined): void {
    this.#usable = false;
    this.#session.destroy();
    this.#options.onClose(this);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) {
      call.onLost(error);
    }
  }
}

const largestCallId = 0xffff_ffff;
