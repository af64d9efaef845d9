import { Buffer } from "node:buffer";
import { constants, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { CreditSchema, type Open, OpenSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import type { ServedService } from "../served-service.ts";
import { BackwardWriter } from "../wire/backward-writer.ts";
import { compileDecoder } from "../wire/compile-decoder.ts";
import { WireReader } from "../wire/wire-reader.ts";
import { writeEnd } from "./call-end.ts";
import { FrameStream } from "./frame-stream.ts";
import { frameKind, linkContentType, LinkProtocolError, maxCallsOfLink, streamWindowBytes } from "./link-protocol.ts";
import { createMethodCodecs } from "./message-codec.ts";
import { requireCarried } from "./require-carried.ts";
import { callerLeft, ServerCall, type ServedMethod } from "./server-call.ts";

/** What links can call. */
export interface LinkServerOptions {
  readonly served: readonly ServedService[];
  readonly interceptors: readonly Interceptor[];
  /** The largest message of a call, in bytes. */
  readonly maxMessageBytes: number;
  /** See FrameStream. */
  readonly heartbeatMs?: number | undefined;
}

/** Serves LinkService. */
export interface LinkServer {
  /** Takes a link: a stream whose request headers were read and not answered yet. */
  accept(stream: ServerHttp2Stream): void;
  /** Asks all callers to go elsewhere. Each link ends when its caller has and its calls have ended. */
  drain(): void;
}

/** What Connect's streaming format ends a stream with that went well. */
const endOfStream = Buffer.from([0x02, 0, 0, 0, 2, 0x7b, 0x7d]);
const empty = new Uint8Array(0);

/** Makes the server of links. Throws when a service has a method that streams requests, which links do not carry. */
export function createLinkServer(options: LinkServerOptions): LinkServer {
  const methods = methodsOf(options);
  const links = new Set<ServerLink>();
  const prepared = new WeakSet<Http2Session>();
  let draining = false;
  return {
    accept(stream) {
      const { session } = stream;
      if (session === undefined || stream.destroyed) {
        return;
      }
      if (!prepared.has(session)) {
        prepared.add(session);
        prepareSession(session);
      }
      stream.respond({ ":status": 200, "content-type": linkContentType });
      const link = new ServerLink(stream, methods, options.heartbeatMs, () => links.delete(link));
      links.add(link);
      if (draining) {
        link.drain();
      }
    },
    drain() {
      draining = true;
      for (const link of links) {
        link.drain();
      }
    },
  };
}

function prepareSession(session: Http2Session): void {
  session.settings({ initialWindowSize: streamWindowBytes });
  session.setLocalWindowSize(streamWindowBytes);
  // A process that died has closed its side. HTTP/2 waits for more where the server allows half-open connections.
  session.socket.once("end", () => session.destroy());
}

/** One link of another process to this one. */
class ServerLink {
  readonly #methods: ReadonlyMap<string, ServedMethod>;
  readonly #frames: FrameStream;
  readonly #calls = new Map<number, ServerCall>();
  #lastCallId = 0;
  #peerEnded = false;

  constructor(
    stream: ServerHttp2Stream,
    methods: ReadonlyMap<string, ServedMethod>,
    heartbeatMs: number | undefined,
    onClose: () => void,
  ) {
    this.#methods = methods;
    this.#frames = new FrameStream(stream, {
      onFrame: (callId, kind, content) => this.#onFrame(callId, kind, content),
      onPeerEnd: () => {
        this.#peerEnded = true;
        this.#endIfDone();
      },
      onClose: () => {
        onClose();
        for (const call of this.#calls.values()) {
          call.cancel(callerLeft());
        }
      },
      cut: (error) => {
        if (error instanceof LinkProtocolError) {
          stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
        } else {
          stream.session?.destroy();
        }
      },
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    });
  }

  drain(): void {
    this.#frames.send(0, frameKind.drain, empty);
  }

  #onFrame(callId: number, kind: number, content: Buffer): void {
    switch (kind) {
      case frameKind.open:
        this.#open(callId, content);
        return;
      case frameKind.message:
        this.#callOf(callId)?.request(content);
        return;
      case frameKind.part:
        this.#callOf(callId)?.part(content);
        return;
      case frameKind.cancel:
        this.#callOf(callId)?.cancel(callerLeft());
        return;
      case frameKind.credit:
        this.#callOf(callId)?.credit(fromBinary(CreditSchema, content).bytes);
        return;
      case frameKind.head:
      case frameKind.end:
      case frameKind.drain:
        throw new LinkProtocolError("a caller sent what only servers send");
      default:
        // Kinds are added over time.
        return;
    }
  }

  /** A call that still runs; frames of others that were opened crossed their end on the way. */
  #callOf(callId: number): ServerCall | undefined {
    if (callId === 0 || callId > this.#lastCallId) {
      throw new LinkProtocolError("a frame is of a call that was not opened");
    }
    return this.#calls.get(callId);
  }

  #open(callId: number, content: Buffer): void {
    if (callId <= this.#lastCallId) {
      throw new LinkProtocolError("a call was opened twice");
    }
    this.#lastCallId = callId;
    // Made by the decoder of this very type.
    const open = readOpen(new WireReader(content), content.length) as Open;
    const method = this.#methods.get(open.procedure);
    if (method === undefined) {
      this.#refuse(callId, new ConnectError(`${open.procedure} is not served here`, Code.Unimplemented));
    } else if (this.#calls.size >= maxCallsOfLink) {
      this.#refuse(callId, new ConnectError("too many calls run on one link", Code.ResourceExhausted));
    } else {
      this.#calls.set(callId, new ServerCall(this.#frames, callId, method, open, this.#onOver));
    }
  }

  #refuse(callId: number, error: ConnectError): void {
    this.#frames.send(callId, frameKind.end, writeEnd(error, undefined));
  }

  readonly #onOver = (callId: number): void => {
    this.#calls.delete(callId);
    this.#endIfDone();
  };

  #endIfDone(): void {
    if (this.#peerEnded && this.#calls.size === 0) {
      this.#frames.end(endOfStream);
    }
  }
}

/** Every call has one. */
const readOpen = compileDecoder(OpenSchema);

type Handler = ServedMethod["handler"];

function methodsOf({ served, interceptors, maxMessageBytes }: LinkServerOptions): ReadonlyMap<string, ServedMethod> {
  const methods = new Map<string, ServedMethod>();
  const codecs = { maxBytes: maxMessageBytes, writer: new BackwardWriter() };
  for (const { service, implementation } of served) {
    for (const method of service.methods) {
      requireCarried(method);
      // The types of the service say that the implementation has a handler of the right shape under the local name.
      const handler = (implementation as Record<string, unknown>)[method.localName];
      if (typeof handler !== "function") {
        throw new TypeError(`${service.typeName} is served without ${method.name}`);
      }
      methods.set(`${service.typeName}/${method.name}`, {
        service,
        method,
        ...createMethodCodecs(method, codecs),
        handler: handler.bind(implementation) as Handler,
        interceptors,
        maxMessageBytes,
      });
    }
  }
  return methods;
}
