import { lentBytes } from "../wire/backward-writer.ts";
import type { FrameStream } from "./frame-stream.ts";
import { frameCost, frameKind, initialCredit, LinkProtocolError, partBytes } from "./link-protocol.ts";

/**
 * Sends the messages of one call in one direction: never more than the receiver gave credit for, and large ones in
 * parts. It holds at most one message.
 */
export class MessageSender {
  readonly #frames: FrameStream;
  readonly #callId: number;
  readonly #onReady: () => void;
  #credit = initialCredit;
  #rest: Uint8Array | undefined;
  #waitsForSocket = false;
  #stopped = false;

  /** `onReady` is called once after each message that could not be sent at once, when it has been. */
  constructor(frames: FrameStream, callId: number, onReady: () => void) {
    this.#frames = frames;
    this.#callId = callId;
    this.#onReady = onReady;
  }

  /** Sends a message; what of it has to wait is copied where it may be lent. False when it has to wait: the next one may be sent after `onReady`. */
  send(message: Uint8Array): boolean {
    this.#rest = message;
    if (this.#advance()) {
      return true;
    }
    if (this.#rest.length <= lentBytes) {
      this.#rest = new Uint8Array(this.#rest);
    }
    return false;
  }

  /** Takes more credit. */
  add(credit: number): void {
    this.#credit += credit;
    if (this.#credit > 0xffff_ffff) {
      throw new LinkProtocolError("a call was given more credit than there is");
    }
    this.#resume();
  }

  /** Drops what was not sent. */
  stop(): void {
    this.#stopped = true;
    this.#rest = undefined;
  }

  /** Sends what it may of the message. True when that was all. */
  #advance(): boolean {
    while (this.#rest !== undefined) {
      if (this.#frames.congested) {
        this.#waitForSocket();
        return false;
      }
      const rest = this.#rest;
      const length = Math.min(rest.length, partBytes, this.#credit - frameCost);
      if (length < 0 || (length === 0 && rest.length > 0)) {
        return false;
      }
      this.#credit -= length + frameCost;
      if (length === rest.length) {
        this.#rest = undefined;
        this.#frames.send(this.#callId, frameKind.message, rest);
      } else {
        this.#rest = rest.subarray(length);
        this.#frames.send(this.#callId, frameKind.part, rest.subarray(0, length));
      }
    }
    return true;
  }

  #waitForSocket(): void {
    if (!this.#waitsForSocket) {
      this.#waitsForSocket = true;
      this.#frames.whenWritable(() => {
        this.#waitsForSocket = false;
        this.#resume();
      });
    }
  }

  #resume(): void {
    if (!this.#stopped && this.#rest !== undefined && this.#advance()) {
      this.#onReady();
    }
  }
}
