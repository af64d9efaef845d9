import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { FrameReader, type OnFrame } from "./frame-reader.ts";
import { frameKind, LinkProtocolError, maxEnvelopeBytes } from "./link-protocol.ts";

/** Who uses a FrameStream. */
export interface FrameStreamOptions {
  /** Takes each frame but pings and pongs. What it throws breaks the link. */
  readonly onFrame: OnFrame;
  /** The other side sends nothing more. */
  readonly onPeerEnd: () => void;
  /** Told once when the stream is gone; `error` says why, where there was a reason. */
  readonly onClose: (error: Error | undefined) => void;
  /** Cuts the connection below the stream. */
  readonly cut: (error: Error) => void;
  /** How often the other side's life is looked at. Two silent looks bring a ping, four the end. */
  readonly heartbeatMs?: number;
}

/** Nothing heard in four of these, of which the last two followed a ping: the other side is hung. */
const usualHeartbeatMs = 2_000;
const silenceBeforePing = 2;
const silenceBeforeEnd = 4;
/** An envelope leaves before the end of the turn when it has become this large. */
const fullEnvelopeBytes = 256 * 1024;
/** What may wait for the socket before calls are asked to wait themselves. */
const congestedBytes = 1024 * 1024;
/** Frames that do not wait (ends, credit, pongs) come to this only when the other side sends and never reads. */
const unreadBytes = 8 * 1024 * 1024;
const prefixBytes = 5;
const endStreamFlag = 0x02;
const empty = new Uint8Array(0);

/** One side of a link: frames over a duplex stream of bytes, those of one turn of the event loop in one envelope. */
export class FrameStream {
  readonly #stream: Duplex;
  readonly #options: FrameStreamOptions;
  readonly #writer = new EnvelopeWriter();
  readonly #reader: FrameReader;
  readonly #heartbeat: NodeJS.Timeout;
  #flushScheduled = false;
  #ending = false;
  #closed = false;
  #reason: Error | undefined;
  #silence = 0;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes = prefixBytes;
  #waiting: (() => void)[] = [];

  constructor(stream: Duplex, options: FrameStreamOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new FrameReader(this.#onFrame);
    this.#heartbeat = setInterval(() => this.#look(), options.heartbeatMs ?? usualHeartbeatMs).unref();
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("end", () => options.onPeerEnd());
    stream.on("drain", () => this.#onDrain());
    stream.on("error", (error) => {
      this.#reason ??= error;
    });
    stream.on("close", () => this.#onClose());
  }

  /** Whether more is waiting for the socket than should be: messages are to wait, see `whenWritable`. */
  get congested(): boolean {
    return this.#stream.writableLength + this.#writer.pendingBytes > congestedBytes;
  }

  /** Sends a frame at the end of this turn of the event loop. `content` is copied. Does nothing on a closed stream. */
  send(callId: number, kind: number, content: Uint8Array): void {
    if (this.#closed || this.#ending) {
      return;
    }
    this.#writer.add(callId, kind, content);
    if (this.#writer.pendingBytes >= fullEnvelopeBytes) {
      this.#write();
    } else if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      setImmediate(this.#flush);
    }
  }

  /** Calls back once when the congestion is over; never when the stream closes before. */
  whenWritable(callback: () => void): void {
    this.#waiting.push(callback);
  }

  /** Sends what is pending, and `last` as bytes after it, and nothing more. */
  end(last?: Uint8Array): void {
    if (this.#closed || this.#ending) {
      return;
    }
    this.#write();
    this.#ending = true;
    this.#stream.end(last);
  }

  /** Breaks the link. */
  destroy(error: Error): void {
    if (!this.#closed) {
      this.#reason ??= error;
      this.#options.cut(error);
    }
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    this.#write();
  };

  #write(): void {
    if (this.#writer.pendingBytes > 0 && !this.#closed && !this.#ending) {
      this.#stream.write(this.#writer.take());
      if (this.#stream.writableLength > unreadBytes) {
        this.destroy(new LinkProtocolError("the other side of a link does not read"));
      }
    }
  }

  #onData(chunk: Buffer): void {
    this.#silence = 0;
    let bytes = chunk;
    if (this.#heldBytes > 0) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes < this.#neededBytes) {
        return;
      }
      bytes = Buffer.concat(this.#held, this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
    }
    try {
      this.#readEnvelopes(bytes);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new LinkProtocolError("frames could not be handled"));
    }
  }

  #readEnvelopes(bytes: Buffer): void {
    let at = 0;
    while (bytes.length - at >= prefixBytes) {
      const to = at + prefixBytes + bytes.readUInt32BE(at + 1);
      if (to - at > maxEnvelopeBytes) {
        throw new LinkProtocolError("an envelope is too large");
      }
      if (to > bytes.length) {
        break;
      }
      const flags = bytes[at];
      if (flags === 0) {
        this.#reader.read(bytes, at + prefixBytes, to);
      } else if (flags !== endStreamFlag) {
        throw new LinkProtocolError("an envelope is compressed");
      }
      at = to;
    }
    if (at < bytes.length) {
      const rest = bytes.subarray(at);
      this.#held = [rest];
      this.#heldBytes = rest.length;
      this.#neededBytes = prefixBytes + (rest.length < prefixBytes ? 0 : rest.readUInt32BE(1));
    }
  }

  readonly #onFrame: OnFrame = (callId, kind, content) => {
    if (kind === frameKind.ping) {
      this.send(0, frameKind.pong, empty);
    } else if (kind !== frameKind.pong) {
      this.#options.onFrame(callId, kind, content);
    }
  };

  #onDrain(): void {
    // Those that are not asked yet come first the next time, before those that wait again.
    const waiting = this.#waiting;
    this.#waiting = [];
    let asked = 0;
    while (asked < waiting.length && !this.congested) {
      waiting[asked]?.();
      asked += 1;
    }
    this.#waiting = [...waiting.slice(asked), ...this.#waiting];
  }

  /** Counts looks and not time, so that a pause of this process is not taken for one of the other. */
  #look(): void {
    this.#silence += 1;
    if (this.#silence === silenceBeforePing) {
      this.send(0, frameKind.ping, empty);
    } else if (this.#silence >= silenceBeforeEnd) {
      this.destroy(new Error("nothing was heard from the other side of a link"));
    }
  }

  #onClose(): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#waiting = [];
    this.#held = [];
    this.#options.onClose(this.#reason);
  }
}
